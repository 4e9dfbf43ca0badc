#pragma once

#include "stages/bissl/lambda_choice.h"
#include "stages/bissl/rate_choice.h"

#include <nlohmann/json.hpp>

namespace bissl::host {

class Session;

/// What a stage chooses by itself before its steps: λ and the upper level's learning rate where
/// they are "auto". Each is a function of the stage's inputs, so it is the same in each run.
class StageChoices {
 public:
  /// Both must outlive this.
  StageChoices(const StageContext& context, BisslParts& parts) : context_(context), parts_(parts) {}

  /// Before anything is trained: λ.
  void before_training();
  /// When the head is ready and neither level has made a step: the upper level's rate.
  void before_rounds();

  /// Makes the choices part of the session's checkpoints, which set them when they are loaded:
  /// before the lower level's recorded steps, which need λ.
  void keep(Session& session);
  /// What is in the stage's results.json: "lambda" and "upper_rate", where chosen.
  void report(nlohmann::json& details) const { details.update(chosen_); }

 private:
  void apply();

  const StageContext& context_;
  BisslParts& parts_;
  nlohmann::json chosen_ = nlohmann::json::object();  ///< as in results.json
};

}  // namespace bissl::host
