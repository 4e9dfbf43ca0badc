#pragma once

#include "bissl/parameters.h"
#include "models/precision.h"
#include "pipeline/table.h"
#include "stages/context.h"

#include <string>
#include <vector>

namespace bissl::host {

/// The keys of a stage that say what its networks compute in.
inline constexpr const char* precision_key = "precision";
inline constexpr const char* hypergradient_precision_key = "hypergradient_precision";

/// Declares `precision`, for a kind of stage whose steps or scores take passes of a backbone.
template <class Options>
void add_precision(Schema<Options>& schema, std::string Options::*member) {
  schema
      .add(precision_key, member,
           "what the backbone's passes compute in: \"bf16\" and \"fp16\" by LibTorch's autocast, "
           "with weights, losses and heads in single precision and, for \"fp16\", a scale on the "
           "losses; \"fp16\" needs a GPU")
      .choices({"fp32", "bf16", "fp16"});
}

/// What the tables of kinds that declare them say of both keys: at their defaults the stage's key
/// in the store is the one without them.
void mark_precision(TableSpec& spec);

/// Warnings about a precision that the run's device computes in slowly.
std::vector<std::string> precision_doubts(const StageContext& context);

/// Has the precisions of a stage's table in force while it lives; around all that its run or its
/// trial does. Throws Error(input) for one that the run's device does not compute in.
class StagePrecision {
 public:
  explicit StagePrecision(const StageContext& context);

 private:
  PrecisionScope scope_;
};

}  // namespace bissl::host
