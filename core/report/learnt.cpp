#include "report/learnt.h"

#include "base/posix_file.h"
#include "report/class_plots.h"
#include "report/escaping.h"
#include "report/learnt_figures.h"
#include "report/picture_sheets.h"
#include "report/sections.h"
#include "report/spots.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

const char* direction_text(const std::optional<bool>& higher_is_better) {
  return !higher_is_better ? "–" : *higher_is_better ? "more" : "less";
}

void add_run_columns(ReportTable& table, const ReportData& data, const Learnt& learnt) {
  for (size_t i = 0; i < learnt.axes; ++i) {
    table.columns.push_back({data.axes[i].name});
  }
}

std::vector<std::string> run_labels(const ReportData& data, const std::vector<size_t>& choices) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < choices.size(); ++i) {
    labels.push_back(data.axes[i].labels.at(choices[i]));
  }
  return labels;
}

std::vector<ReportCell> run_cells(const ReportData& data, const std::vector<size_t>& choices) {
  const std::vector<std::string> labels = run_labels(data, choices);
  return {labels.begin(), labels.end()};
}

/// The means of figures, a column for each stage.
ReportTable figures_table(const ReportData& data, const Learnt& learnt, const std::string& name,
                          const LearntFigures& figures) {
  ReportTable table;
  table.name = name;
  add_run_columns(table, data, learnt);
  table.columns.push_back({"figure"});
  table.columns.push_back({"better"});
  add_columns(table, learnt.stages);
  for (const auto& [place, figure] : figures) {
    std::vector<ReportCell> row = run_cells(data, place.first);
    row.emplace_back(place.second);
    row.emplace_back(direction_text(figure.higher_is_better));
    for (const std::string& stage : learnt.stages) {
      const std::optional<Estimate> found = figure.of_stage(stage);
      row.push_back(number_cell(found ? std::optional(found->mean) : std::nullopt));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

ReportTable difference_table(const ReportData& data, const Learnt& learnt,
                             const LearntComparison& comparison) {
  ReportTable table;
  table.name = file_name_part(fmt::format("learnt-{}-{}", comparison.stage, learnt.reference));
  add_run_columns(table, data, learnt);
  table.columns.push_back({"figure"});
  table.columns.push_back({"better"});
  add_columns(table, {"pairs", fmt::format("{} − {}", learnt.arms.at(comparison.stage),
                                           learnt.arms.at(learnt.reference))});
  table.columns.push_back({"95 % interval", ReportColumn::Kind::interval});
  add_columns(table, {"p", "adjusted"});
  for (const LearntDifference& one : comparison.differences) {
    const Estimate& mean = one.difference;
    std::vector<ReportCell> row = run_cells(data, one.choices);
    row.emplace_back(one.figure);
    row.emplace_back(direction_text(one.higher_is_better));
    row.push_back(count_cell(mean.count));
    row.push_back(number_cell(mean.mean));
    row.emplace_back(
        mean.half ? fmt::format("{} … {}", number_text(mean.low()), number_text(mean.high())) : "–",
        std::vector<std::optional<double>>{mean.low(), mean.high()});
    row.push_back(number_cell(one.test.p));
    row.push_back(number_cell(one.adjusted));
    table.rows.push_back(std::move(row));
  }
  return table;
}

constexpr double learnt_level = 0.05;

/// "test.knn20_top1 (+0.0213)", with the labels of its cell where there are several.
std::string figure_words(const ReportData& data, const LearntDifference& one) {
  const std::vector<std::string> labels = run_labels(data, one.choices);
  return fmt::format("{}{} ({}{})", one.figure,
                     labels.empty() ? "" : fmt::format(" of {}", fmt::join(labels, ", ")),
                     one.difference.mean >= 0 ? "+" : "", number_text(one.difference.mean));
}

std::string list_words(const std::vector<std::string>& names) {
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

/// The answer to the section's question, by the tested figures.
std::string answer_words(const ReportData& data, const Learnt& learnt,
                         const LearntComparison& comparison) {
  const std::string& arm = learnt.arms.at(comparison.stage);
  const std::string& other = learnt.arms.at(learnt.reference);
  std::vector<std::string> ahead;
  std::vector<std::string> behind;
  std::vector<std::string> open;
  double tested = 0;
  double least = 1;
  for (const LearntDifference& one : comparison.differences) {
    if (!one.adjusted) {
      continue;
    }
    tested += 1;
    least = std::min(least, one.test.least);
    auto& names = *one.adjusted >= learnt_level ? open : one.is_ahead() ? ahead : behind;
    names.push_back(figure_words(data, one));
  }
  if (tested == 0) {
    return fmt::format("{} and {} have none of the figures that are tested.", arm, other);
  }
  if (tested * least >= learnt_level) {
    return fmt::format(
        "These runs cannot show it: with as many pairs and figures as here no adjusted p can be "
        "less than {}. {} minus {} was: {}.",
        number_text(std::min(1.0, tested * least)), arm, other, list_words(open));
  }
  return fmt::format(
      "{} is ahead of {} in {}; it is behind in {}; the runs do not tell the two apart in {}.", arm,
      other, list_words(ahead), list_words(behind), list_words(open));
}

ReportSection learnt_comparison_section(const ReportData& data, const Learnt& learnt,
                                        const LearntComparison& comparison) {
  ReportSection section;
  section.title = fmt::format("What did {} learn more than {}?", learnt.arms.at(comparison.stage),
                              learnt.arms.at(learnt.reference));
  section.paragraphs.push_back(answer_words(data, learnt, comparison));
  section.paragraphs.push_back(fmt::format(
      "By stage.{} and stage.{}, on the same data. Pairs are {}{}. The interval is Student's; p is "
      "two-sided, from the signs of the differences (Fisher 1935). \"adjusted\" is Holm's, for the "
      "figures that are tested: {}. The other figures are only described.",
      comparison.stage, learnt.reference,
      data.repetitions.empty() ? "repetitions" : data.repetitions,
      learnt.by_run ? "; the networks of one run are averaged, as they are no pairs of their own"
                    : "",
      tested_words));
  section.tables.push_back(difference_table(data, learnt, comparison));
  return section;
}

/// The points of a picture's CSV (network,sample,class,x,y).
std::vector<SpotPanel> read_spots(const fs::path& file) {
  constexpr uint64_t limit = uint64_t{1} << 28;
  const std::string text = read_whole(file, limit);
  std::vector<SpotPanel> panels;
  for (size_t begin = text.find('\n') + 1; begin > 0 && begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::vector<std::string> cells = cells_of_line(text.substr(begin, end - begin));
    begin = end + 1;
    if (cells.size() != 5) {
      continue;  // not what this program writes
    }
    if (panels.empty() || panels.back().title != cells[0]) {
      panels.push_back({cells[0], {}});
    }
    try {
      panels.back().spots.push_back({std::stod(cells[3]), std::stod(cells[4]), cells[2], cells[1]});
    } catch (const std::exception&) {
      continue;  // no number: somebody edited the file
    }
  }
  return panels;
}

size_t most_spots_of(const std::vector<SpotPanel>& panels) {
  size_t most = 0;
  for (const SpotPanel& panel : panels) {
    most = std::max(most, panel.spots.size());
  }
  return most;
}

/// Every `step`-th spot of each panel.
std::vector<SpotPanel> thinned(const std::vector<SpotPanel>& panels, size_t step) {
  std::vector<SpotPanel> kept;
  for (const SpotPanel& panel : panels) {
    kept.push_back({panel.title, {}});
    for (size_t i = 0; i < panel.spots.size(); i += step) {
      kept.back().spots.push_back(panel.spots[i]);
    }
  }
  return kept;
}

/// The thumbnails that an analyse stage has left beside the picture; none where they are missing,
/// belong to another number of samples, or are more than a page should carry.
std::optional<ThumbnailSheet> read_sheet(const fs::path& file, const std::string& id,
                                         size_t samples) {
  constexpr uint64_t most_bytes = uint64_t{1} << 20;
  std::error_code missing;
  const uintmax_t bytes = fs::file_size(file, missing);
  if (missing || bytes > most_bytes || samples == 0) {
    return std::nullopt;
  }
  ThumbnailSheet sheet{.id = id, .png = read_whole(file, most_bytes)};
  const auto size = png_size(sheet.png);
  if (!size) {
    return std::nullopt;
  }
  const int64_t width = size->first;
  while (sheet.columns * sheet.columns < static_cast<int64_t>(samples)) {
    ++sheet.columns;
  }
  sheet.side = width / sheet.columns;
  const bool fits = sheet.side > 0 && sheet.side * sheet.columns == width;
  return fits ? std::optional(std::move(sheet)) : std::nullopt;
}

/// What shows the samples of a picture with this file name as points; "" for pictures of other
/// kinds.
const char* plane_of(const std::string& name) {
  constexpr std::array<std::pair<const char*, const char*>, 3> planes{
      {{"pca-", "principal components"}, {"tsne-", "t-SNE"}, {"umap-", "UMAP"}}};
  for (const auto& [beginning, plane] : planes) {
    if (name.starts_with(beginning)) {
      return plane;
    }
  }
  return "";
}

/// A picture for the page, whose SVG file has fewer spots: each is an element there.
Plot picture_of(const std::string& stage, const fs::path& file, uintmax_t& room_for_sheets) {
  constexpr size_t most_in_page = 5000;
  constexpr size_t most_in_file = 1000;
  const std::string name = file.stem().string();
  const std::string data = name.substr(name.find('-') + 1);
  const std::vector<SpotPanel> all = read_spots(file);
  const size_t spots = most_spots_of(all);
  if (spots == 0) {
    return {};
  }
  Plot plot = spot_plot(file_name_part(fmt::format("learnt-{}-{}", stage, name)),
                        fmt::format("{}: {} of data.{}", stage, plane_of(name), data),
                        thinned(all, (spots + most_in_file - 1) / most_in_file));
  std::optional<ThumbnailSheet> sheet =
      read_sheet(file.parent_path() / fmt::format("thumbnails-{}.png", data),
                 "thumbnails-" + file_name_part(fmt::format("{}-{}", stage, data)), spots);
  if (sheet && sheet->png.size() <= room_for_sheets) {
    plot.elements[sheet->id] = sheet_element(*sheet);
    room_for_sheets -= sheet->png.size();
  } else {
    sheet.reset();
  }
  const size_t step = (spots + most_in_page - 1) / most_in_page;
  plot.page = spot_canvas(plot.title, thinned(all, step), sheet ? &*sheet : nullptr, step);
  return plot;
}

/// The pictures of each stage's first repetition; a few, so that the page stays small.
std::vector<Plot> pictures_of(const Learnt& learnt) {
  constexpr size_t most_pictures = 6;
  uintmax_t room_for_sheets = uintmax_t{4} << 20;
  std::vector<Plot> plots;
  for (const std::string& stage : learnt.stages) {
    std::error_code ignored;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(learnt.folders.at(stage), ignored)) {
      if (entry.path().extension() == ".csv" && *plane_of(entry.path().stem().string()) != 0) {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      if (plots.size() == most_pictures) {
        return plots;
      }
      if (Plot plot = picture_of(stage, file, room_for_sheets); !plot.svg.empty()) {
        plots.push_back(std::move(plot));
      }
    }
  }
  return plots;
}

}  // namespace

std::vector<ReportSection> learnt_sections(const ReportData& data) {
  const Learnt learnt = gather_learnt(data);
  if (learnt.stages.empty()) {
    return {};
  }
  ReportSection section;
  section.title = "What backbones have learnt";
  section.paragraphs.emplace_back(
      "Means over the repetitions, by the stage of kind \"analyse\" that computed them. \"better\" "
      "says whether more or less of a figure is better; the documentation (analysis.md) has all "
      "formulas.");
  section.tables.push_back(figures_table(data, learnt, "learnt", learnt.figures));
  if (!learnt.levels.empty()) {
    section.paragraphs.emplace_back(
        "The second table is of single levels of the backbones' maps, from the finest, map1.");
    section.tables.push_back(figures_table(data, learnt, "learnt-levels", learnt.levels));
  }
  section.plots = pictures_of(learnt);
  PictureSheets sheets = picture_sheets(learnt.folders);
  section.images = std::move(sheets.images);
  section.notes = std::move(sheets.notes);
  std::vector<ReportSection> sections = {std::move(section)};
  for (const LearntComparison& comparison : compare_learnt(learnt)) {
    sections.push_back(learnt_comparison_section(data, learnt, comparison));
  }
  for (const std::string& stage : learnt.stages) {
    if (std::optional<ReportSection> classes =
            class_section(stage, learnt.arms.at(stage), learnt.folders.at(stage))) {
      sections.push_back(std::move(*classes));
    }
  }
  return sections;
}

}  // namespace bissl::host
