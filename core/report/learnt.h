#pragma once

#include "report/report.h"

#include <vector>

namespace bissl::host {

/// What stages of kind "analyse" have found: a section with each figure's mean over the repetitions
/// by stage and the pictures of the first repetition, then one for each comparison of
/// compare_learnt, whose title asks what the arm has learnt more than the reference, with an answer
/// in words and the differences with interval and test. Nothing where no run has such a stage.
std::vector<ReportSection> learnt_sections(const ReportData& data);

}  // namespace bissl::host
