#include "stages/bissl/stage_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

/// How far above what it is compared with a loss may end without a warning: losses are those of
/// single batches.
constexpr double loss_margin = 1.1;

/// The last steps of a warm-up that its end is the mean of.
int64_t last_steps(int64_t steps) { return std::max<int64_t>(1, steps / 10); }

}  // namespace

nlohmann::json StageWatch::to_json(const Mean& mean) { return {mean.sum, mean.count}; }

StageWatch::Mean StageWatch::mean_of(const nlohmann::json& saved) {
  return {saved.at(0).get<double>(), saved.at(1).get<int64_t>()};
}

void StageWatch::warn(std::string text) {
  if (setting_.warn) {
    setting_.warn(text);
  }
  warnings_.push_back(std::move(text));
}

void StageWatch::judge(const std::string& what, double first, double last,
                       const std::string& advice) {
  if (setting_.constant_loss && last > loss_margin * *setting_.constant_loss) {
    warn(fmt::format(
        "{} ends at a loss of {:.3g}, above ln K = {:.3g}, the loss of a head that gives all "
        "classes the same probability. {}",
        what, last, *setting_.constant_loss, advice));
  } else if (last > first + (loss_margin - 1) * std::abs(first)) {  // losses may be negative
    warn(fmt::format("{} ends at a loss of {:.3g}, above {:.3g}, where it began. {}", what, last,
                     first, advice));
  }
}

void StageWatch::head_fitted(const HeadFitReport& report) {
  fit_ = {{"rows", report.rows},   {"loss_before", report.loss_before},
          {"loss", report.loss},   {"accuracy", report.accuracy},
          {"ridge", report.ridge}, {"converged", report.converged}};
  if (report.held_out_loss) {
    fit_["held_out_loss"] = *report.held_out_loss;
    fit_["held_out_accuracy"] = *report.held_out_accuracy;
  }
  judge("the fit of the head", report.loss_before, report.loss,
        "The labels may have nothing to do with the images");
}

void StageWatch::head_step(int64_t number, double loss) {
  if (number == 0) {
    warmup_first_ = loss;
  }
  if (number >= setting_.warmup_steps - last_steps(setting_.warmup_steps)) {
    warmup_last_.add(loss);
  }
  if (number + 1 == setting_.warmup_steps) {
    judge(
        "the head's warm-up", *warmup_first_, warmup_last_.mean(),
        "A smaller head_warmup.optimizer.lr may help; head_warmup.fit = \"convex\" needs none. The "
        "first upper gradients will be too large");
  }
}

void StageWatch::lower_step(bool first_of_round, double pretext_norm) {
  if (first_of_round) {
    pretext_ = {};
  }
  if (std::isfinite(pretext_norm)) {  // not where a scaled loss made the step impossible
    pretext_.add(pretext_norm);
  }
}

void StageWatch::upper_step(int64_t round, const UpperStep& step) {
  if (round == 0) {
    upper_first_.add(step.loss);
  }
  if (round + 1 == setting_.rounds) {
    upper_last_.add(step.loss);
  }
  if (pretext_norm() > 0) {
    const double ratio = step.u_norm / pretext_norm();
    ratio_.add(ratio);
    largest_ratio_ = std::max(largest_ratio_, ratio);
  }
  shortened_ += step.guard < 1 ? 1 : 0;
}

void StageWatch::finished(double displacement, std::optional<double> before) {
  displacement_ = {{"displacement", displacement}};
  if (before && *before > 0) {
    displacement_["displacement_before"] = *before;
    displacement_["displacement_ratio"] = displacement / *before;
    if (displacement > *before) {
      warn(fmt::format(
          "θ_P moved by {:.3g}, which is {:.3g} times as far as the stage before moved it: little "
          "of what it had learnt there may be left. A smaller lambda or upper learning rate moves "
          "it "
          "less",
          displacement, displacement / *before));
    }
  }
  judge("the upper level", upper_first_.mean(), upper_last_.mean(),
        "A smaller upper learning rate may help");
  if (shortened_ > 0) {
    warn(fmt::format(
        "v was shortened in {} of {} upper steps, to {:.3g} times the norm of the pretext gradient "
        "(guard): the downstream gradients are out of proportion",
        shortened_, ratio_.count, setting_.guard));
  }
}

nlohmann::json StageWatch::save() const {
  nlohmann::json saved = {{"warmup_last", to_json(warmup_last_)},
                          {"fit", fit_},
                          {"upper_first", to_json(upper_first_)},
                          {"upper_last", to_json(upper_last_)},
                          {"pretext", to_json(pretext_)},
                          {"ratio", to_json(ratio_)},
                          {"largest_ratio", largest_ratio_},
                          {"shortened", shortened_},
                          {"warnings", warnings_}};
  if (warmup_first_) {
    saved["warmup_first"] = *warmup_first_;
  }
  return saved;
}

void StageWatch::load(const nlohmann::json& saved) {
  if (saved.contains("warmup_first")) {
    warmup_first_ = saved.at("warmup_first").get<double>();
  }
  warmup_last_ = mean_of(saved.at("warmup_last"));
  fit_ = saved.at("fit");
  upper_first_ = mean_of(saved.at("upper_first"));
  upper_last_ = mean_of(saved.at("upper_last"));
  pretext_ = mean_of(saved.at("pretext"));
  ratio_ = mean_of(saved.at("ratio"));
  largest_ratio_ = saved.at("largest_ratio");
  shortened_ = saved.at("shortened");
  warnings_ = saved.at("warnings").get<std::vector<std::string>>();
}

void StageWatch::report(nlohmann::json& details) const {
  if (!fit_.is_null()) {
    details["head_warmup"] = fit_;
    details["head_warmup"]["fit"] = "convex";
  } else if (warmup_first_) {
    details["head_warmup"] = {
        {"fit", "sgd"}, {"loss_before", *warmup_first_}, {"loss", warmup_last_.mean()}};
  }
  details["upper_loss"] = {{"first_round", upper_first_.mean()},
                           {"last_round", upper_last_.mean()}};
  if (setting_.constant_loss) {
    details["upper_loss"]["constant_head"] = *setting_.constant_loss;
  }
  details["balance"] = {{"u_over_pretext_gradient", ratio_.mean()},
                        {"largest_u_over_pretext_gradient", largest_ratio_},
                        {"shortened_steps", shortened_}};
  if (!displacement_.is_null()) {
    details["balance"].update(displacement_);
  }
  if (!warnings_.empty()) {
    details["warnings"] = warnings_;
  }
}

}  // namespace bissl::host
