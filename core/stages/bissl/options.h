#pragma once

#include "pipeline/pipeline.h"
#include "stages/options.h"

#include <cstdint>
#include <optional>
#include <string>

namespace bissl::host {

struct BisslOptions {
  int64_t rounds = 500;
  bool rounds_open = false;  ///< `rounds = "auto"` that no table has settled
  double lambda = 0.001;
  bool chooses_lambda = false;  ///< `lambda = "auto"`; `lambda` has no meaning until it is chosen
  double gamma = 0.01;
  double guard = 10;
  int64_t adaptation_every = 0;
  double adaptation_strength = 0.1;
  std::string precision = "fp32";
  std::string batch_norm = "synchronised";
  std::string hypergradient_precision = "fp32";
};

/// `audit = { … }`
struct AuditOptions {
  int64_t every = 100;
  std::optional<double> damping;
  int64_t dense_below = 1000;
  int64_t iterations = 200;
  double tolerance = 1e-8;
};

/// `head_warmup = { … }`
struct HeadWarmupOptions {
  std::string fit = "auto";
  int64_t views = 1;
  LengthOptions length;
};

/// `lower = { … }`
struct LowerOptions {
  std::string data;
  int64_t batch = 256;
  int64_t accumulate = 1;
  int64_t steps = 20;
  int64_t hessian_batch = 0;
  int64_t hessian_batches = 1;
  int64_t hessian_rounds = 1;
  std::string hessian_graph = "kept";
  double lr_factor = 1;
  double max_grad_norm = 10;
  double grad_norm_guard = 0;

  /// Samples that a step sees.
  int64_t step_samples() const { return samples_of(batch, accumulate); }
};

/// `upper = { … }`
struct UpperOptions {
  std::string data;
  int64_t batch = 256;
  int64_t accumulate = 1;
  int64_t steps = 8;
  double lr_factor = 1;
  bool chooses_rate = false;  ///< `lr_factor = "auto"`, as with λ
  double max_grad_norm = 10;
  double grad_norm_guard = 0;

  /// Samples that a step sees.
  int64_t step_samples() const { return samples_of(batch, accumulate); }
};

/// Leaves `rounds = "auto"` open, which settle_rounds gives a number before.
BisslOptions parse_bissl(const Table& table);
AuditOptions parse_audit(const Table& table);
HeadWarmupOptions parse_head_warmup(const Table& table);
LowerOptions parse_lower(const Table& table);
UpperOptions parse_upper(const Table& table);

StageKindSpec bissl_spec();

}  // namespace bissl::host
