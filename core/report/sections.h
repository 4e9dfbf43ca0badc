#pragma once

#include "report/report.h"

#include <optional>
#include <string>
#include <vector>

namespace bissl {

// What the sections of a report have in common, and those that compare nothing.

/// Four decimals, or three digits where they would show nothing; "–" for none.
std::string number_text(double value);
std::string number_text(const std::optional<double>& value);

void add_axis_columns(ReportTable& table, const ReportData& data);
/// Columns that are aligned right.
void add_columns(ReportTable& table, const std::vector<std::string>& names);
/// The labels of a cell, one for each axis.
std::vector<std::string> axis_cells(const ReportData& data, const std::vector<size_t>& choices);

ReportSection chosen_section(const ReportData& data);
ReportSection curves_section(const ReportData& data);
ReportSection cost_section(const ReportData& data);
ReportSection missing_section(const ReportData& data);

}  // namespace bissl
