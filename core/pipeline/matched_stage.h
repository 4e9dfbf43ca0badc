#pragma once

#include "pipeline/pipeline.h"

#include <string>

namespace bissl::host {

/// The table of a stage that is as long as another one: `match = { stage = "bissl", by = "steps" }`
/// in the place of its `epochs` or `steps`. Graph, keys and order of stages know it by this name.
inline constexpr const char* match_key = "match";

/// The stage whose length a stage's follows, by its name; empty for none. It comes before it.
std::string matched_stage(const Stage& stage);

}  // namespace bissl::host
