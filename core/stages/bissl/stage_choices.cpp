#include "stages/bissl/stage_choices.h"

#include "stages/bissl/parts.h"
#include "stages/bissl/stage_watch.h"
#include "stages/session.h"

#include <fmt/format.h>

namespace bissl::host {
namespace {

std::string entry_of(const std::string& level) { return level + "_rate"; }

}  // namespace

void StageChoices::note_rate(const std::string& level, const std::optional<RateChoice>& choice) {
  const RateChoice made = choice.value_or(RateChoice{});
  if (!choice) {
    watch_.warn(fmt::format(
        "{}.lr_factor = \"auto\": no length was found at which steps on some batches "
        "lower the loss of others most, so the optimizer's learning rate is taken as it "
        "is. Larger batches, or a number, may help",
        level));
  }
  nlohmann::json& entry = chosen_[entry_of(level)];
  entry = {{"factor", made.factor}};
  if (choice) {
    entry["rate"] = made.rate;
    entry["momentum"] = made.momentum;
  }
}

void StageChoices::before_training() {
  if (parts_.lower_options.chooses_rate) {
    note_rate("lower", choose_lower_rate(context_, parts_));
    apply();
  }
  if (parts_.options.chooses_lambda) {
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
  if (parts_.upper_options.chooses_rate && !chosen_.contains(entry_of("upper"))) {
    note_rate("upper", choose_upper_rate(context_, parts_));
    apply();
  }
}

void StageChoices::apply() {
  const auto factor = [&](const std::string& level, TrainingLevel& of) {
    if (const auto found = chosen_.find(entry_of(level)); found != chosen_.end()) {
      of.lr_factor = found->at("factor").get<double>();
    }
  };
  factor("lower", parts_.lower);
  factor("upper", parts_.upper);
  if (const auto found = chosen_.find("lambda"); found != chosen_.end()) {
    parts_.set_lambda(found->at("chosen").get<double>());
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
