#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "data/batches.h"
#include "stages/best_weights.h"
#include "stages/context.h"
#include "stages/scoring.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace bissl::host {

class Session;

/// `validate = { … }`
struct ValidateOptions {
  std::string data;
  int64_t batch = 250;
  int64_t every = 1;
  std::string metric;
  int64_t patience = 0;
};

ValidateOptions parse_validate(const Table& table);
TableSpec validate_table();

/// What a stage is validated on; none without `validate`. Refers to the stage.
std::optional<ScoredSource> validated_source(const Stage& stage);

/// Scores networks now and then while they are trained, on data apart, keeps a copy of the best
/// ones, and says when they no longer get better. Leaves networks and LibTorch's random generator
/// as they were.
class Validation {
 public:
  /// For a stage with a table `validate` that trains on `training`. The networks must outlive it.
  /// Throws Error(input) for data on which the head cannot be scored and for a metric that the task
  /// does not have.
  Validation(const StageContext& context, const BatchSource& training, Backbone& backbone,
             Downstream& downstream);

  /// Makes its state part of the session's.
  void keep(Session& session);

  /// Whether the networks are scored after this many of `steps` steps: after every `every` of them,
  /// and after the last.
  bool is_due(int64_t done, int64_t steps) const;

  /// How often that is in a number of steps, at most.
  int64_t count(int64_t steps) const;
  const BatchSource& source() const { return *batches_; }

  /// Scores the networks after that number of steps; what to log.
  nlohmann::json score(int64_t done);

  /// Whether as many validations in a row as `patience` allows were no better than the best.
  bool is_over() const;

  /// Puts the best weights into the networks.
  void put_best() const;

  /// Where the best weights were found, and how good they are.
  nlohmann::json report() const;

 private:
  const StageContext& context_;
  ValidateOptions options_;
  std::shared_ptr<BatchSource> batches_;
  Backbone& backbone_;
  Downstream& downstream_;
  BestWeights best_;
  int64_t last_step_ = 0;
  int64_t not_better_ = 0;  ///< validations in a row
};

}  // namespace bissl::host
