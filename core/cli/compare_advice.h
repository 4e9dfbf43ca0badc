#pragma once

#include "report/pooled.h"

#include <string>

namespace bissl::host {

/// Which arm to use, in a sentence or two for people: the better one of the primary comparison
/// where that is sure, otherwise the cheaper one; then a third arm, if that has the best mean of
/// all. There must be a primary comparison.
std::string compare_advice(const ReportData& data, const PooledResults& pooled);

}  // namespace bissl::host
