#pragma once

#include "report/report.h"

#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

// What the sections of a report have in common, and those that compare nothing.

/// Four decimals, or three digits where they would show nothing; "–" for none.
std::string number_text(double value);
std::string number_text(const std::optional<double>& value);

void add_axis_columns(ReportTable& table, const ReportData& data);
/// Columns of numbers, aligned right.
void add_columns(ReportTable& table, const std::vector<std::string>& names);
/// A cell with `value` under number_text, or as `words` say.
ReportCell number_cell(const std::optional<double>& value);
ReportCell number_cell(double value, std::string words);
/// A cell for a whole number.
ReportCell count_cell(int64_t count);
/// The labels of a cell, one for each axis.
std::vector<ReportCell> axis_cells(const ReportData& data, const std::vector<size_t>& choices);

ReportSection chosen_section(const ReportData& data);
ReportSection curves_section(const ReportData& data);
/// Without content where there is no stage with solves.
ReportSection bilevel_section(const ReportData& data);
ReportSection cost_section(const ReportData& data);
ReportSection missing_section(const ReportData& data);
ReportSection failed_draws_section(const ReportData& data);

}  // namespace bissl::host
