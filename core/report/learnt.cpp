#include "report/learnt.h"

#include "base/posix_file.h"
#include "report/escaping.h"
#include "report/sections.h"
#include "report/spots.h"
#include "report/statistics.h"
#include "store/run_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// Values of a figure by repetition.
using ByRepetition = std::map<std::string, double>;

/// A figure of a cell: "test.rankme".
struct FigureOfCell {
  std::map<std::string, ByRepetition> of_stages;
  std::optional<bool> higher_is_better;
};

struct Learnt {
  size_t axes = 0;                  ///< how many of the data's axes tell runs apart
  std::vector<std::string> stages;  ///< of kind "analyse", in the order of their names
  std::map<std::pair<std::vector<size_t>, std::string>, FigureOfCell> figures;
  /// Folder and name of the first of each stage.
  std::map<std::string, fs::path> folders;
};

/// Figures of single levels of maps are left to results.json: there are many of them.
bool is_of_level(const std::string& metric) { return metric.find("_map") != std::string::npos; }

void add_stage(const Observation& observation, const std::string& name, const StageResults& results,
               Learnt& learnt) {
  if (learnt.folders.emplace(name, observation.folder / name).second) {
    learnt.stages.push_back(name);
  }
  for (const MetricResult& metric : results.metrics) {
    if (is_of_level(metric.metric)) {
      continue;
    }
    const std::vector<size_t> choices(
        observation.choices.begin(),
        observation.choices.begin() + static_cast<std::ptrdiff_t>(learnt.axes));
    FigureOfCell& figure = learnt.figures[{choices, metric.name()}];
    figure.higher_is_better = metric.higher_is_better;
    for (size_t i = 0; i < metric.values.size(); ++i) {
      if (std::isfinite(metric.values[i])) {
        figure.of_stages[name][fmt::format("{}#{}", observation.folder.string(), i)] =
            metric.values[i];
      }
    }
  }
}

Learnt gather_learnt(const ReportData& data) {
  Learnt learnt;
  // The last axis of a report of runs is the stage that a row is of.
  const bool of_runs = !data.axes.empty() && data.axes.back().name == "stage";
  learnt.axes = data.axes.size() - (of_runs ? 1 : 0);
  std::set<fs::path> seen;
  for (const Observation& observation : data.observations) {
    const std::optional<RunResults> run = seen.insert(observation.folder).second
                                              ? run_results_if_there(observation.folder)
                                              : std::nullopt;
    if (!run) {
      continue;
    }
    for (const auto& [name, results] : run->stages) {
      if (results.describes) {
        add_stage(observation, name, results, learnt);
      }
    }
  }
  std::sort(learnt.stages.begin(), learnt.stages.end());
  return learnt;
}

std::vector<double> repetition_values(const ByRepetition& repetitions) {
  std::vector<double> values;
  for (const auto& [repetition, value] : repetitions) {
    values.push_back(value);
  }
  return values;
}

const char* direction_text(const std::optional<bool>& higher_is_better) {
  return !higher_is_better ? "–" : *higher_is_better ? "more" : "less";
}

void add_run_columns(ReportTable& table, const ReportData& data, const Learnt& learnt) {
  for (size_t i = 0; i < learnt.axes; ++i) {
    table.columns.push_back({data.axes[i].name});
  }
}

std::vector<ReportCell> run_cells(const ReportData& data, const std::vector<size_t>& choices) {
  std::vector<ReportCell> cells;
  for (size_t i = 0; i < choices.size(); ++i) {
    cells.emplace_back(data.axes[i].labels.at(choices[i]));
  }
  return cells;
}

ReportTable figures_table(const ReportData& data, const Learnt& learnt) {
  ReportTable table;
  table.name = "learnt";
  add_run_columns(table, data, learnt);
  table.columns.push_back({"figure"});
  table.columns.push_back({"better"});
  add_columns(table, learnt.stages);
  for (const auto& [place, figure] : learnt.figures) {
    std::vector<ReportCell> row = run_cells(data, place.first);
    row.emplace_back(place.second);
    row.emplace_back(direction_text(figure.higher_is_better));
    for (const std::string& stage : learnt.stages) {
      const auto found = figure.of_stages.find(stage);
      row.push_back(found == figure.of_stages.end() || found->second.empty()
                        ? number_cell(std::nullopt)
                        : number_cell(estimate(repetition_values(found->second)).mean));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// One minus other, of the repetitions that both have.
std::vector<double> differences_of(const FigureOfCell& figure, const std::string& one,
                                   const std::string& other) {
  std::vector<double> differences;
  const auto left = figure.of_stages.find(one);
  const auto right = figure.of_stages.find(other);
  if (left != figure.of_stages.end() && right != figure.of_stages.end()) {
    for (const auto& [repetition, value] : left->second) {
      if (const auto same = right->second.find(repetition); same != right->second.end()) {
        differences.push_back(value - same->second);
      }
    }
  }
  return differences;
}

/// The figures that have a direction, of two stages.
ReportTable difference_table(const ReportData& data, const Learnt& learnt, const std::string& one,
                             const std::string& other) {
  ReportTable table;
  table.name = file_name_part(fmt::format("learnt-{}-{}", one, other));
  add_run_columns(table, data, learnt);
  table.columns.push_back({"figure"});
  table.columns.push_back({"better"});
  add_columns(table, {"pairs", fmt::format("{} − {}", one, other)});
  table.columns.push_back({"95 % interval", ReportColumn::Kind::interval});
  add_columns(table, {"p", "adjusted"});
  std::vector<double> p_values;
  for (const auto& [place, figure] : learnt.figures) {
    const std::vector<double> differences = differences_of(figure, one, other);
    if (differences.empty() || !figure.higher_is_better) {
      continue;
    }
    const Estimate mean = estimate(differences);
    p_values.push_back(sign_flip_test(differences).p);
    std::vector<ReportCell> row = run_cells(data, place.first);
    row.emplace_back(place.second);
    row.emplace_back(direction_text(figure.higher_is_better));
    row.push_back(count_cell(mean.count));
    row.push_back(number_cell(mean.mean));
    row.emplace_back(
        mean.half ? fmt::format("{} … {}", number_text(mean.low()), number_text(mean.high())) : "–",
        std::vector<std::optional<double>>{mean.low(), mean.high()});
    row.push_back(number_cell(p_values.back()));
    table.rows.push_back(std::move(row));
  }
  const std::vector<double> adjusted = holm(p_values);
  for (size_t i = 0; i < table.rows.size(); ++i) {
    table.rows[i].push_back(number_cell(adjusted[i]));
  }
  return table;
}

/// The cells of a line of CSV. None spans lines.
std::vector<std::string> cells_of_line(const std::string& line) {
  std::vector<std::string> cells = {""};
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        cells.back() += line[++i];
      } else {
        quoted = !quoted;
      }
    } else if (line[i] == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  return cells;
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
  constexpr size_t header = 24;  // of a PNG, up to the end of its height
  std::error_code missing;
  const uintmax_t bytes = fs::file_size(file, missing);
  if (missing || bytes < header || bytes > most_bytes || samples == 0) {
    return std::nullopt;
  }
  ThumbnailSheet sheet{.id = id, .png = read_whole(file, most_bytes)};
  if (sheet.png.size() < header || sheet.png.compare(1, 3, "PNG") != 0) {
    return std::nullopt;
  }
  const auto number = [&](size_t at) {
    int64_t value = 0;
    for (size_t i = 0; i < 4; ++i) {
      value = value << 8 | static_cast<uint8_t>(sheet.png[at + i]);
    }
    return value;
  };
  while (sheet.columns * sheet.columns < static_cast<int64_t>(samples)) {
    ++sheet.columns;
  }
  sheet.side = number(16) / sheet.columns;
  const bool fits = sheet.side > 0 && sheet.side * sheet.columns == number(16);
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

ReportSection learnt_section(const ReportData& data) {
  ReportSection section;
  section.title = "What backbones have learnt";
  const Learnt learnt = gather_learnt(data);
  if (learnt.stages.empty()) {
    return section;
  }
  section.paragraphs.emplace_back(
      "Means over the repetitions, by the stage of kind \"analyse\" that computed them. \"better\" "
      "says whether more or less of a figure is better; the documentation (analysis.md) has all "
      "formulas. Figures of single layers are in results.json.");
  section.tables.push_back(figures_table(data, learnt));
  for (size_t i = 1; i < learnt.stages.size(); ++i) {
    ReportTable table = difference_table(data, learnt, learnt.stages.front(), learnt.stages[i]);
    if (!table.rows.empty()) {
      section.tables.push_back(std::move(table));
    }
  }
  if (section.tables.size() > 1) {
    section.paragraphs.push_back(fmt::format(
        "Differences are those of {} and another stage on the same data, paired by repetition, "
        "with "
        "Student's interval. p is two-sided, from the signs of the differences (Fisher 1935); "
        "\"adjusted\" is Holm's, for all rows of a table.",
        learnt.stages.front()));
  }
  section.plots = pictures_of(learnt);
  return section;
}

}  // namespace bissl::host
