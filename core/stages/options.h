#pragma once

#include "pipeline/pipeline.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

// The host's own settings, one aggregate per table of a stage. Their documentation is in the
// schemas (options.cpp), from which `bissl describe` prints it.

/// `schedule = { … }`
struct ScheduleOptions {
  std::string use = "constant";
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  double final = 0.001;
};

/// How long to train: exactly one of the two is set.
struct LengthOptions {
  std::optional<double> epochs;
  std::optional<int64_t> steps;
};

struct PretrainOptions {
  std::string data;
  int64_t batch = 256;
  LengthOptions length;
  double max_grad_norm = 0;
};

struct FinetuneOptions {
  std::string data;
  int64_t batch = 256;
  LengthOptions length;
  double max_grad_norm = 0;
  bool freeze_backbone = false;
  int64_t repeats = 1;
};

/// `evaluate = { … }`
struct EvaluateOptions {
  std::string data;
  int64_t batch = 250;
};

struct BisslOptions {
  int64_t rounds = 500;
  double lambda = 0.001;
  double gamma = 0.01;
  int64_t adaptation_every = 0;
  double adaptation_strength = 0.1;
};

/// `audit = { … }`
struct AuditOptions {
  int64_t every = 100;
  std::optional<double> damping;
  int64_t dense_below = 1000;
  int64_t iterations = 200;
  double tolerance = 1e-8;
};

/// `warmup = { … }`
struct WarmupOptions {
  LengthOptions length;
};

/// `lower = { … }`
struct LowerOptions {
  std::string data;
  int64_t batch = 256;
  int64_t steps = 20;
  int64_t hessian_batch = 0;
  int64_t hessian_batches = 1;
  std::string hessian_graph = "kept";
  double max_grad_norm = 10;
};

/// `upper = { … }`
struct UpperOptions {
  std::string data;
  int64_t batch = 256;
  int64_t steps = 8;
  double max_grad_norm = 10;
};

ScheduleOptions parse_schedule(const Table& stage);
PretrainOptions parse_pretrain(const Table& table);
FinetuneOptions parse_finetune(const Table& table);
EvaluateOptions parse_evaluate(const Table& table);
BisslOptions parse_bissl(const Table& table);
AuditOptions parse_audit(const Table& table);
WarmupOptions parse_warmup(const Table& table);
LowerOptions parse_lower(const Table& table);
UpperOptions parse_upper(const Table& table);

/// Throws Error(input) for more steps of a stage than anybody trains (10^12), or more samples than
/// an integer of 64 bits can number. `what` leads to that many: "epochs = 1e300".
void check_countable(const std::string& what, double steps, int64_t batch);

/// Optimizer steps for a length, with `samples` in the data and `batch` of them a step; at least 1
/// for a length of more than 0. Throws as check_countable does.
int64_t steps_of(const LengthOptions& length, int64_t samples, int64_t batch);

/// Says so if that number of steps is far (over a tenth) from what `epochs` asks for; else empty.
std::string rounding_doubt(const LengthOptions& length, int64_t samples, int64_t batch);

/// All kinds of stage, for the pipeline reader and for `bissl describe`.
const std::vector<StageKindSpec>& stage_kinds();

}  // namespace bissl
