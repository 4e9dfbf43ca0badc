#include "report/class_plots.h"

#include "base/text_width.h"
#include "report/escaping.h"
#include "report/picture_sheets.h"
#include "report/sections.h"
#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>
#include <system_error>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_confused = 32;  ///< classes of a plot; with more, rows are lower than letters
constexpr size_t most_listed = 30;    ///< classes of a table
constexpr size_t most_plots = 8;      ///< of a section
/// The column of accuracy-….csv that the classifiers begin with, after the class and its images.
constexpr size_t first_classifier = 2;

/// The number of a cell; none where it has none.
std::optional<double> cell_number(const std::string& cell) {
  try {
    const double value = std::stod(cell);
    return std::isfinite(value) ? std::optional(value) : std::nullopt;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// The files BEGINNING… of CSV in a folder, in the order of their names.
std::vector<fs::path> class_files(const fs::path& folder, const std::string& beginning) {
  std::vector<fs::path> files;
  std::error_code fault;
  for (fs::directory_iterator entry(folder, fault), end; !fault && entry != end;
       entry.increment(fault)) {
    const fs::path& file = entry->path();
    if (file.extension() == ".csv" && file.filename().string().starts_with(beginning)) {
      files.push_back(file);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// How many images of each class (rows) are taken for which (columns).
struct ConfusedClasses {
  std::vector<std::string> names;
  std::vector<std::vector<double>> counts;
};

/// None where the file is missing or has not as many rows as columns, all of them counts.
std::optional<ConfusedClasses> read_confusion(const fs::path& file) {
  const std::vector<std::vector<std::string>> lines = lines_of_csv(file);
  if (lines.size() < 2 || lines.size() != lines.front().size()) {
    return std::nullopt;
  }
  ConfusedClasses found;
  for (size_t row = 1; row < lines.size(); ++row) {
    found.names.push_back(lines.front()[row]);
    std::vector<double>& counts = found.counts.emplace_back();
    for (size_t column = 1; column < lines.size(); ++column) {
      const std::optional<double> count = cell_number(lines[row][column]);
      if (!count || *count < 0) {
        return std::nullopt;
      }
      counts.push_back(*count);
    }
  }
  return found;
}

/// "head takes 7 of 8 images of data.test for their class; most often it takes dog for cat (1 of
/// 4).": what the plot shows, for those who do not see it.
std::string confusion_words(const std::string& data, const std::string& classifier,
                            const ConfusedClasses& found) {
  double images = 0;
  double right = 0;
  double most = 0;
  std::string mistake;
  for (size_t row = 0; row < found.names.size(); ++row) {
    const double of_class =
        std::accumulate(found.counts[row].begin(), found.counts[row].end(), 0.0);
    images += of_class;
    right += found.counts[row][row];
    for (size_t column = 0; column < found.names.size(); ++column) {
      const double count = found.counts[row][column];
      if (column != row && count > most) {
        most = count;
        mistake = fmt::format("; most often it takes {} for {} ({:.0f} of {:.0f})",
                              found.names[row], found.names[column], count, of_class);
      }
    }
  }
  return fmt::format("{} takes {:.0f} of {:.0f} images of data.{} for their class{}.", classifier,
                     right, images, data, mistake);
}

/// The stronger the colour of a cell is, the larger its share of the row.
Plot confusion_plot(const std::string& name, const std::string& title,
                    const ConfusedClasses& found) {
  constexpr double top = 10;
  constexpr double most_side = 30;
  constexpr double least_visible = 0.08;
  constexpr double dark = 0.75;  // the share from which on numbers need the colour of paper
  const std::vector<std::string> labels = shown_labels(found.names);
  const double left = label_space(labels);
  const auto classes = static_cast<double>(labels.size());
  const double side = std::min(most_side, (plot_width - plot_right_margin - left) / classes);
  const double bottom = top + side * classes;
  SvgDrawing svg(bottom + 26);
  svg.frame(left, top, side * classes, side * classes);
  for (size_t row = 0; row < labels.size(); ++row) {
    const double y = top + side * static_cast<double>(row);
    const double images = std::accumulate(found.counts[row].begin(), found.counts[row].end(), 0.0);
    svg.text(left - 8, y + side / 2 + 4, labels[row], "label end");
    for (size_t column = 0; column < labels.size(); ++column) {
      const double count = found.counts[row][column];
      if (count == 0) {
        continue;
      }
      const double share = count / images;
      const double x = left + side * static_cast<double>(column);
      svg.rectangle(x + 0.5, y + 0.5, side - 1, side - 1,
                    SvgDrawing::series_class(row == column ? size_t{0} : size_t{1}) + " fill",
                    fmt::format("{} taken for {}: {:.0f} of {:.0f} ({:.1f} %)", found.names[row],
                                found.names[column], count, images, 100 * share),
                    std::max(share, least_visible));
      const std::string number = fmt::format("{:.0f}", count);
      if (text_width(number) + 2 <= side) {
        svg.text(x + side / 2, y + side / 2 + 4, number,
                 share > dark ? "count over middle" : "count middle");
      }
    }
  }
  svg.text(left, bottom + 18, "Columns: what it is taken for, in the order of the rows.", "axis");
  return svg.plot(name, title);
}

/// The file without its ending in which an analyse stage counts what a classifier confuses.
std::string confusion_name(const std::string& data, const std::string& classifier) {
  return classifier.starts_with("kNN") ? "confusion-" + data
                                       : fmt::format("confusion-{}-{}", data, classifier);
}

void add_confusion(const std::string& stage, const fs::path& folder, const std::string& data,
                   const std::string& classifier, ReportSection& section) {
  const std::string name = confusion_name(data, classifier);
  const std::optional<ConfusedClasses> found = read_confusion(folder / (name + ".csv"));
  if (!found) {
    section.notes.push_back(fmt::format(
        "Left out: what {} confuses of data.{}: {}.csv of {} is missing, or was changed.",
        classifier, data, name, stage));
    return;
  }
  section.paragraphs.push_back(confusion_words(data, classifier, *found));
  std::string why_not;
  if (found->names.size() > most_confused) {
    why_not = fmt::format("there are {} classes, and a plot has at most {}", found->names.size(),
                          most_confused);
  } else if (section.plots.size() >= most_plots) {
    why_not = fmt::format("a section has at most {} plots", most_plots);
  }
  if (!why_not.empty()) {
    section.notes.push_back(fmt::format(
        "Left out: the plot of what {} confuses of data.{}: {}. {}.csv of {} has the numbers.",
        classifier, data, why_not, name, stage));
    return;
  }
  section.plots.push_back(confusion_plot(
      file_name_part(fmt::format("learnt-{}-{}", stage, name)),
      fmt::format("{}: what {} takes the classes of data.{} for", stage, classifier, data),
      *found));
}

/// The rows of the classes with the lowest accuracy of the first classifier where there are more
/// than a table has, in their own order.
std::vector<size_t> listed_rows(const std::vector<std::vector<std::string>>& lines) {
  std::vector<size_t> rows(lines.size() - 1);
  std::iota(rows.begin(), rows.end(), size_t{1});
  if (rows.size() <= most_listed) {
    return rows;
  }
  const auto accuracy = [&](size_t row) {
    return cell_number(lines[row][first_classifier]).value_or(2.0);  // no images: after all others
  };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](size_t one, size_t other) { return accuracy(one) < accuracy(other); });
  rows.resize(most_listed);
  std::sort(rows.begin(), rows.end());
  return rows;
}

/// The table of accuracies by class, and what each of its classifiers confuses.
void add_accuracy(const std::string& stage, const fs::path& file, ReportSection& section) {
  const std::string data = file.stem().string().substr(std::string("accuracy-").size());
  const std::vector<std::vector<std::string>> lines = lines_of_csv(file);
  if (lines.size() < 2 || lines.front().size() <= first_classifier) {
    section.notes.push_back(
        fmt::format("Left out: the accuracies by class of data.{}: {} of {} was changed.", data,
                    file.filename().string(), stage));
    return;
  }
  ReportTable table;
  table.name = file_name_part(fmt::format("learnt-{}-accuracy-{}", stage, data));
  table.columns.push_back({"class of data." + data});
  const std::vector<std::string>& titles = lines.front();
  add_columns(table, {"images"});
  for (size_t i = first_classifier; i < titles.size(); ++i) {
    add_columns(table, {titles[i]});
  }
  const std::vector<size_t> rows = listed_rows(lines);
  for (const size_t row : rows) {
    std::vector<ReportCell> cells = {lines[row].front()};
    cells.push_back(count_cell(std::lround(cell_number(lines[row][1]).value_or(0.0))));
    for (size_t i = first_classifier; i < titles.size(); ++i) {
      cells.push_back(number_cell(cell_number(lines[row][i])));
    }
    table.rows.push_back(std::move(cells));
  }
  if (rows.size() + 1 < lines.size()) {
    section.notes.push_back(fmt::format(
        "The table has the {} of {} classes of data.{} with the lowest accuracy of {}; {} of {} "
        "has all.",
        rows.size(), lines.size() - 1, data, titles[first_classifier], file.filename().string(),
        stage));
  }
  section.tables.push_back(std::move(table));
  for (size_t i = first_classifier; i < titles.size(); ++i) {
    add_confusion(stage, file.parent_path(), data, titles[i], section);
  }
}

/// Images whose confidence, the largest probability, lies between two bounds.
struct ConfidenceBin {
  double low = 0;
  double high = 0;
  double images = 0;
  double confidence = 0;
  double accuracy = 0;
};

/// The confidences of a probe or a head.
struct ProbeConfidences {
  std::string probe;
  std::vector<ConfidenceBin> bins;  ///< those that have images

  double images() const {
    double sum = 0;
    for (const ConfidenceBin& bin : bins) {
      sum += bin.images;
    }
    return sum;
  }
  /// The expected calibration error; 0 without images.
  double ece() const {
    double sum = 0;
    for (const ConfidenceBin& bin : bins) {
      sum += bin.images * std::abs(bin.accuracy - bin.confidence);
    }
    return bins.empty() ? 0 : sum / images();
  }
};

/// Of probe,low,high,samples,confidence,accuracy.
std::vector<ProbeConfidences> read_confidences(const fs::path& file) {
  constexpr size_t cells = 6;
  std::vector<ProbeConfidences> probes;
  const std::vector<std::vector<std::string>> lines = lines_of_csv(file);
  for (size_t row = 1; row < lines.size(); ++row) {
    const std::vector<std::string>& line = lines[row];
    if (line.size() != cells) {
      return {};
    }
    if (probes.empty() || probes.back().probe != line[0]) {
      probes.push_back({line[0], {}});
    }
    const auto low = cell_number(line[1]);
    const auto high = cell_number(line[2]);
    const auto images = cell_number(line[3]);
    const auto confidence = cell_number(line[4]);
    const auto accuracy = cell_number(line[5]);
    if (low && high && images && confidence && accuracy && *images > 0) {
      probes.back().bins.push_back({*low, *high, *images, *confidence, *accuracy});
    }
  }
  return probes;
}

/// One probe's bars in a square: the share of right answers, and what lies between it and the
/// confidence.
void draw_confidences(const ProbeConfidences& probe, double left, double top, double side,
                      SvgDrawing& svg) {
  const auto y = [&](double share) { return top + side * (1 - share); };
  svg.text(left, top - 8,
           fmt::format("{}: ECE {:.4f}", truncate_to_width(probe.probe, 18), probe.ece()), "axis");
  svg.frame(left, top, side, side);
  for (const ConfidenceBin& bin : probe.bins) {
    const double x = left + side * bin.low + 0.5;
    const double width = side * (bin.high - bin.low) - 1;
    const double upper = std::max(bin.accuracy, bin.confidence);
    const double lower = std::min(bin.accuracy, bin.confidence);
    const std::string tip = fmt::format(
        "{}: {:.0f} images with confidences in ({:.3g}, {:.3g}]\n{:.3f} on average, {:.1f} % right",
        probe.probe, bin.images, bin.low, bin.high, bin.confidence, 100 * bin.accuracy);
    svg.rectangle(x, y(lower), width, side * lower, SvgDrawing::series_class(0) + " fill", tip);
    svg.rectangle(
        x, y(upper), width, side * (upper - lower),
        SvgDrawing::series_class(bin.accuracy < bin.confidence ? size_t{1} : size_t{2}) + " fill",
        tip);
  }
  svg.line(left, y(0), left + side, y(1), "zero");
  for (const double tick : {0.0, 0.5, 1.0}) {
    svg.text(left + side * tick, top + side + 15, fmt::format("{:.1f}", tick), "number middle");
    svg.text(left - 6, y(tick) + 4, fmt::format("{:.1f}", tick), "number end");
  }
}

void add_reliability(const std::string& stage, const fs::path& file, ReportSection& section) {
  constexpr size_t in_row = 3;
  constexpr double side = 200;
  constexpr double margin = 36;
  const std::string name = file.stem().string();
  const std::string data = name.substr(std::string("reliability-").size());
  const std::vector<ProbeConfidences> probes = read_confidences(file);
  if (probes.empty()) {
    section.notes.push_back(
        fmt::format("Left out: the confidences on data.{}: {} of {} was changed.", data,
                    file.filename().string(), stage));
    return;
  }
  const size_t rows = (probes.size() + in_row - 1) / in_row;
  SvgDrawing svg(static_cast<double>(rows) * (side + 2 * margin));
  for (size_t i = 0; i < probes.size(); ++i) {
    const size_t row = i / in_row;
    draw_confidences(probes[i], margin + static_cast<double>(i % in_row) * (side + margin + 8),
                     24 + static_cast<double>(row) * (side + 2 * margin), side, svg);
    section.paragraphs.push_back(
        fmt::format("The confidences of {} on data.{} miss the shares of right answers by {:.4f} "
                    "on average (ECE, {:.0f} images).",
                    probes[i].probe, data, probes[i].ece(), probes[i].images()));
  }
  section.plots.push_back(
      svg.plot(file_name_part(fmt::format("learnt-{}-{}", stage, name)),
               fmt::format("{}: shares of right answers on data.{} by confidence", stage, data)));
}

}  // namespace

std::optional<ReportSection> class_section(const std::string& stage, const std::string& arm,
                                           const fs::path& folder) {
  ReportSection section;
  section.title = fmt::format("How well does {} tell classes apart?", arm);
  section.paragraphs.push_back(fmt::format(
      "By stage.{}, its first network of the first run that has it. Of each class (a row) the "
      "colour of a cell is the share that is taken for the column's class: blue for right answers, "
      "orange for wrong ones. By confidence blue and green are the share of right answers, green "
      "what it is above the confidence, orange what it lacks. Few images say little.",
      stage));
  for (const fs::path& file : class_files(folder, "accuracy-")) {
    add_accuracy(stage, file, section);
  }
  for (const fs::path& file : class_files(folder, "reliability-")) {
    add_reliability(stage, file, section);
  }
  if (section.tables.empty() && section.plots.empty() && section.notes.empty()) {
    return std::nullopt;
  }
  return section;
}

}  // namespace bissl::host
