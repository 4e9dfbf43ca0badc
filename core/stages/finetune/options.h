#pragma once

#include "pipeline/pipeline.h"
#include "stages/options.h"

#include <cstdint>
#include <optional>
#include <string>

namespace bissl {

struct FinetuneOptions {
  std::string data;
  int64_t batch = 256;
  LengthOptions length;
  double max_grad_norm = 0;
  bool freeze_backbone = false;
  int64_t repeats = 1;
};

FinetuneOptions parse_finetune(const Table& table);

StageKindSpec finetune_spec();

}  // namespace bissl
