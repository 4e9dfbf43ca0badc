#pragma once

#include "pipeline/pipeline.h"
#include "stages/options.h"

#include <cstdint>
#include <optional>
#include <string>

namespace bissl::host {

struct PretrainOptions {
  std::string data;
  int64_t batch = 256;
  int64_t accumulate = 1;
  LengthOptions length;
  double max_grad_norm = 0;
  double grad_norm_guard = 0;
  std::string precision = "fp32";
  std::string batch_norm = "synchronised";

  /// Samples that a step sees.
  int64_t step_samples() const { return samples_of(batch, accumulate); }
};

/// `supervised = { … }`: a labelled task that is trained at the same time.
struct SupervisedOptions {
  std::string data;
  int64_t batch = 256;
  double weight = 1;
};

PretrainOptions parse_pretrain(const Table& table);
SupervisedOptions parse_supervised(const Table& table);

StageKindSpec pretrain_spec();

}  // namespace bissl::host
