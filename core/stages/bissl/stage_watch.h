#pragma once

#include "bilevel/upper_level.h"
#include "stages/bissl/head_fit.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Compares what happens in a bissl stage with what it is measured by, so that a stage that does
/// harm says so: the losses of the head's warm-up and of the upper level with where they began and
/// with ln K, v with the pretext gradient, θ_P's displacement with that of the stage before. Its
/// sums are in checkpoints, so an interruption changes nothing.
class StageWatch {
 public:
  struct Setting {
    int64_t rounds = 1;
    int64_t warmup_steps = 0;
    /// The loss of a head that knows the number of classes and nothing else, ln K, for targets that
    /// are categories.
    std::optional<double> constant_loss{};
    double guard = 0;  ///< BisslOptions::guard
    /// Told each warning when it arises.
    std::function<void(const std::string& text)> warn{};
  };
  explicit StageWatch(Setting setting) : setting_(std::move(setting)) {}

  void head_fitted(const HeadFitReport& report);
  /// A step of the head's warm-up, by its number.
  void head_step(int64_t number, double loss);
  /// A lower step; the first one of a round begins a new mean.
  void lower_step(bool first_of_round, double pretext_norm);
  /// The mean norm of the pretext gradient over this round's lower steps; 0 before the first one.
  double pretext_norm() const { return pretext_.mean(); }
  /// The limit of ‖v‖ in this round's upper steps; 0: none.
  double limit() const { return setting_.guard * pretext_norm(); }
  void upper_step(int64_t round, const UpperStep& step);
  /// All steps are made. ‖θ_P − θ_P at the start‖, and what the stage before moved θ_P, where
  /// known.
  void finished(double displacement, std::optional<double> before);

  nlohmann::json save() const;
  void load(const nlohmann::json& saved);

  /// What is in the stage's results.json: "head_warmup", "upper_loss", "balance" and, where there
  /// are any, "warnings".
  void report(nlohmann::json& details) const;

 private:
  struct Mean {
    double sum = 0;
    int64_t count = 0;
    void add(double value) {
      sum += value;
      ++count;
    }
    double mean() const { return count == 0 ? 0.0 : sum / static_cast<double>(count); }
  };
  static nlohmann::json to_json(const Mean& mean);
  static Mean mean_of(const nlohmann::json& saved);

  void warn(std::string text);
  /// Warns where a loss ends clearly above ln K or above where it began.
  void judge(const std::string& what, double first, double last, const std::string& advice);

  Setting setting_;
  std::optional<double> warmup_first_;
  Mean warmup_last_;
  nlohmann::json fit_;  ///< of head_fitted
  Mean upper_first_;    ///< over the first round
  Mean upper_last_;     ///< over the last one
  Mean pretext_;        ///< of this round
  Mean ratio_;          ///< ‖u‖ over the pretext gradient's norm
  double largest_ratio_ = 0;
  int64_t shortened_ = 0;
  nlohmann::json displacement_;
  std::vector<std::string> warnings_;
};

}  // namespace bissl::host
