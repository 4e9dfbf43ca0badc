#pragma once

#include "stages/stage_kind.h"

namespace bissl::host {

/// The kind of stage "import": takes a backbone's weights, and a head's if asked for, from a file
/// of another program.
const StageKind& import_kind();

}  // namespace bissl::host
