#pragma once

#include "report/pooled.h"
#include "report/report.h"

#include <string>

namespace bissl::host {

/// Whether chance hardly explains the difference: p, adjusted, is below 5 %.
bool is_sure(const PooledComparison& comparison);

/// What the results say, in a few plain sentences: which arm is ahead, by how much, how sure that
/// is, at what cost. Empty where nothing is compared.
std::string verdict(const ReportData& data, const PooledResults& pooled);

/// The verdict, and the comparisons of arms over all tasks behind it.
ReportSection verdict_section(const ReportData& data, const PooledResults& pooled);

}  // namespace bissl::host
