#include "stages/context.h"

#include "bissl/hash.h"

#include <fmt/format.h>

namespace bissl::host {

uint64_t StageContext::seed_for(const std::string& use) const {
  return hash64(fmt::format("{}#{}/{}", stage.kind, generation, use), pipeline.seed);
}

}  // namespace bissl::host
