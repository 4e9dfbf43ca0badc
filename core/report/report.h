#pragma once

#include "report/plot.h"
#include "report/results.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// A column of a table for people. In CSV, one of intervals becomes two: "NAME low", "NAME high".
struct ReportColumn {
  enum class Kind { text, number, interval };

  std::string name;
  Kind kind = Kind::text;
};

/// A cell: what people read, and the numbers for CSV with all of their digits.
struct ReportCell {
  std::string text;
  /// In a column of numbers one, of intervals two; none for what is not known.
  std::vector<std::optional<double>> numbers;

  ReportCell(std::string words) : text(std::move(words)) {}  // NOLINT: a text is a cell
  ReportCell(const char* words) : text(words) {}             // NOLINT
  ReportCell(std::string words, std::vector<std::optional<double>> values)
      : text(std::move(words)), numbers(std::move(values)) {}
};

struct ReportTable {
  std::string name;  ///< for file names
  std::vector<ReportColumn> columns;
  std::vector<std::vector<ReportCell>> rows;
};

/// A picture of pixels, as a PNG.
struct ReportImage {
  std::string name;   ///< for file names
  std::string title;  ///< its caption
  std::string words;  ///< how to read it
  std::string alt;    ///< what it shows, for those who do not see it
  std::string png;
  int64_t width = 0;  ///< in pixels
  int64_t height = 0;
};

/// A part of a report: words, tables, plots, images.
struct ReportSection {
  std::string title;
  std::vector<std::string> paragraphs;
  std::vector<ReportTable> tables;
  std::vector<Plot> plots;
  /// What is left out here, and why.
  std::vector<std::string> notes = {};
  std::vector<ReportImage> images = {};
};

/// A report before it is given a form.
struct Report {
  std::string title;
  std::vector<ReportSection> sections;
};

/// A verdict, cells with their spread, differences from the baseline and the reference, the effect
/// of each axis, learning curves, time and memory.
Report build_report(const ReportData& data);

/// The same figures for programs, and the notes of the report that was built of the data.
nlohmann::json report_json(const ReportData& data, const Report& report);

std::string to_terminal(const Report& report);
std::string to_markdown(const Report& report);
/// One page that needs nothing else: light and dark, printable, values on hover.
std::string to_html(const Report& report);
std::string to_csv(const ReportTable& table);
/// One row for each observation: axes, repetition, metrics, folder.
ReportTable observations_table(const ReportData& data);

/// Writes report.html, report.md, report.cells.csv (and the other tables), report.runs.csv,
/// report.PLOT.svg and report.IMAGE.png into the folder; returns their names.
std::vector<std::filesystem::path> write_report(const Report& report, const ReportData& data,
                                                const std::filesystem::path& folder);

}  // namespace bissl::host
