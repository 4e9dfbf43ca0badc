#pragma once

#include "report/plot.h"
#include "report/results.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

struct ReportTable {
  std::string name;  ///< for file names
  std::vector<std::string> columns;
  std::vector<bool> numbers;  ///< by column: whether to align right
  std::vector<std::vector<std::string>> rows;
};

/// A part of a report: words, tables, plots.
struct ReportSection {
  std::string title;
  std::vector<std::string> paragraphs;
  std::vector<ReportTable> tables;
  std::vector<Plot> plots;
};

/// A report before it is given a form.
struct Report {
  std::string title;
  std::vector<ReportSection> sections;
};

/// Cells with their spread, differences from the baseline and the reference, the effect of each
/// axis, learning curves, time and memory.
Report build_report(const ReportData& data);

/// The same figures for programs.
nlohmann::json report_json(const ReportData& data);

std::string to_terminal(const Report& report);
std::string to_markdown(const Report& report);
/// One page that needs nothing else: light and dark, printable, values on hover.
std::string to_html(const Report& report);
std::string to_csv(const ReportTable& table);
/// One row for each observation: axes, repetition, metrics, folder.
ReportTable observations_table(const ReportData& data);

/// Writes report.html, report.md, report.cells.csv (and the other tables), report.runs.csv and
/// report.PLOT.svg into the folder; returns their names.
std::vector<std::filesystem::path> write_report(const Report& report, const ReportData& data,
                                                const std::filesystem::path& folder);

}  // namespace bissl
