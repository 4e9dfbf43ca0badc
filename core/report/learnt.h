#pragma once

#include "report/report.h"

namespace bissl::host {

/// What stages of kind "analyse" have found: for each figure its mean over the repetitions by
/// stage, the differences between two stages with interval and test, and the pictures of the first
/// repetition. Empty where no run has such a stage.
ReportSection learnt_section(const ReportData& data);

}  // namespace bissl::host
