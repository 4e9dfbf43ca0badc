#pragma once

#include "stages/stage_kind.h"

namespace bissl::host {

/// The kind of stage "knn": scores a backbone by weighted nearest neighbours among the features of
/// a labelled source, without training anything.
const StageKind& knn_kind();

}  // namespace bissl::host
