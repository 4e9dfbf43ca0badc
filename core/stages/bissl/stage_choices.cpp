#include "stages/bissl/stage_choices.h"

#include "models/precision.h"
#include "stages/bissl/parts.h"
#include "stages/session.h"

namespace bissl::host {

void StageChoices::before_training() {
  if (parts_.options.chooses_lambda) {
    const PrecisionScope exact(Precision::fp32);
    const LambdaChoice choice = choose_lambda(parts_);
    chosen_["lambda"] = {{"chosen", choice.lambda},
                         {"rate", choice.rate},
                         {"momentum", choice.momentum},
                         {"sum_of_lr_scale", choice.factors},
                         {"pull", chosen_pull}};
    apply();
  }
}

void StageChoices::before_rounds() {
  if (parts_.upper_options.chooses_rate) {
    const PrecisionScope exact(Precision::fp32);
    const RateChoice choice = choose_upper_rate(context_, parts_);
    chosen_["upper_rate"] = {{"factor", choice.factor},
                             {"rate", choice.rate},
                             {"lower_step", choice.lower_step},
                             {"upper_step", choice.upper_step},
                             {"balance", chosen_balance}};
    apply();
  }
}

void StageChoices::apply() {
  if (const auto found = chosen_.find("lambda"); found != chosen_.end()) {
    parts_.set_lambda(found->at("chosen").get<double>());
  }
  if (const auto found = chosen_.find("upper_rate"); found != chosen_.end()) {
    parts_.upper.lr_factor = found->at("factor").get<double>();
  }
}

void StageChoices::keep(Session& session) {
  session.keep(
      "choices", [this] { return chosen_; },
      [this](const nlohmann::json& saved) {
        chosen_ = saved;
        apply();
      });
}

}  // namespace bissl::host
