#pragma once

#include "stages/bissl/lambda_choice.h"
#include "stages/bissl/rate_choice.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace bissl::host {

class Session;
class StageWatch;

/// What a stage chooses by itself before its steps: λ and the learning rates that are "auto". Each
/// is a function of the stage's inputs, so it is the same in each run.
class StageChoices {
 public:
  /// All three must outlive this. `watch` gets the warnings.
  StageChoices(const StageContext& context, BisslParts& parts, StageWatch& watch)
      : context_(context), parts_(parts), watch_(watch) {}

  /// Before anything is trained: the lower level's rate, and λ, which depends on it.
  void before_training();
  /// When the head is ready and neither level has made a step: the upper level's rate.
  void before_rounds();

  /// Makes the choices part of the session's checkpoints, which set them when they are loaded:
  /// before the lower level's recorded steps, which need λ.
  void keep(Session& session);
  /// What is in the stage's results.json: "lambda", "lower_rate" and "upper_rate", where chosen.
  void report(nlohmann::json& details) const { details.update(chosen_); }

 private:
  /// `level`: "lower" or "upper".
  void note_rate(const std::string& level, const std::optional<RateChoice>& choice);
  void apply();

  const StageContext& context_;
  BisslParts& parts_;
  StageWatch& watch_;
  nlohmann::json chosen_ = nlohmann::json::object();  ///< as in results.json
};

}  // namespace bissl::host
