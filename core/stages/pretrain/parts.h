#pragma once

#include "bissl/backbone.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "data/batches.h"
#include "stages/context.h"
#include "stages/pretrain/options.h"
#include "stages/rates.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace bissl::host {

/// What a pretrain stage consists of before its first step; for its run and its check.
struct PretrainParts {
  PretrainOptions options;
  std::shared_ptr<BatchSource> source;
  std::shared_ptr<Backbone> backbone;
  std::shared_ptr<Pretext> pretext;
  std::shared_ptr<Optimizer> optimizer;
  int64_t steps = 0;
  std::optional<Pace> pace;
};
/// Throws Error.
PretrainParts build_pretrain(const StageContext& context);

}  // namespace bissl::host
