#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "stages/context.h"
#include "stages/import/options.h"
#include "weights/coverage.h"

#include <memory>

namespace bissl::host {

/// What an import stage consists of; for its run and its check.
struct ImportParts {
  ImportOptions options;
  Coverage coverage;
  std::shared_ptr<Backbone> backbone;      ///< with the file's weights
  std::shared_ptr<Downstream> downstream;  ///< with the file's; null if no head is requested
};

/// Reads the file. Throws Error(input) for a gap that is not allowed, with what would fit where
/// that is another setting of the same backbone.
ImportParts build_import(const StageContext& context);

}  // namespace bissl::host
