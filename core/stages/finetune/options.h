#pragma once

#include "pipeline/pipeline.h"
#include "stages/options.h"

#include <cstdint>
#include <optional>
#include <string>

namespace bissl::host {

struct FinetuneOptions {
  std::string data;
  int64_t batch = 256;
  int64_t accumulate = 1;
  LengthOptions length;
  double max_grad_norm = 0;
  double grad_norm_guard = 0;
  std::string precision = "fp32";
  std::string batch_norm = "synchronised";
  double ema_decay = 0;
  bool freeze_backbone = false;
  double proximity = 0;
  int64_t repeats = 1;

  /// Samples that a step sees.
  int64_t step_samples() const { return samples_of(batch, accumulate); }
};

FinetuneOptions parse_finetune(const Table& table);

StageKindSpec finetune_spec();

}  // namespace bissl::host
