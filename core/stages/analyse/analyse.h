#pragma once

#include "stages/stage_kind.h"

namespace bissl::host {

/// The kind of stage "analyse": figures and pictures of what a backbone has learnt, and of what it
/// has in common with others, without training anything.
const StageKind& analyse_kind();

}  // namespace bissl::host
