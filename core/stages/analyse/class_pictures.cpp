#include "stages/analyse/class_pictures.h"

#include "analysis/calibration.h"
#include "base/atomic_file.h"
#include "stages/analyse/class_rasters.h"
#include "stages/analyse/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace bissl::host {
namespace {

using ClassCounts = std::vector<std::vector<int64_t>>;

/// How many samples of each class (rows) are taken for which (columns).
ClassCounts confusion_of(const Classified& found, size_t classes) {
  ClassCounts counts(classes, std::vector<int64_t>(classes, 0));
  const at::Tensor given = found.classes.contiguous();
  for (int64_t i = 0; i < given.size(0); ++i) {
    const int64_t category = found.labels.data_ptr<int64_t>()[i];
    ++counts[static_cast<size_t>(category)][static_cast<size_t>(given.data_ptr<int64_t>()[i])];
  }
  return counts;
}

std::string confusion_csv(const std::vector<std::vector<int64_t>>& counts,
                          const std::vector<std::string>& names) {
  std::string text = "class";
  for (const std::string& name : names) {
    text += "," + csv_cell(name);
  }
  text += "\n";
  for (size_t row = 0; row < counts.size(); ++row) {
    text += csv_cell(names[row]);
    for (const int64_t count : counts[row]) {
      text += fmt::format(",{}", count);
    }
    text += "\n";
  }
  return text;
}

/// Cells are the darker the larger their share of the row is.
std::string confusion_svg(const std::vector<std::vector<int64_t>>& counts,
                          const std::vector<std::string>& names, const std::string& title) {
  constexpr double letter = 7;
  constexpr size_t most_numbers = 20;  // of classes, where cells have numbers in them
  const size_t classes = names.size();
  const double side = classes <= most_numbers ? 38 : 12;
  size_t longest = 0;
  for (const std::string& name : names) {
    longest = std::max(longest, name.size());
  }
  const double left = 24 + letter * static_cast<double>(longest);
  const double top = 66;
  std::string body;
  for (size_t row = 0; row < classes; ++row) {
    int64_t sum = 0;
    for (const int64_t count : counts[row]) {
      sum += count;
    }
    const double y = top + side * static_cast<double>(row);
    body += fmt::format("<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left - 6,
                        y + side / 2 + 4, svg_text(names[row]));
    for (size_t column = 0; column < classes; ++column) {
      const double share =
          sum > 0 ? static_cast<double>(counts[row][column]) / static_cast<double>(sum) : 0;
      const double x = left + side * static_cast<double>(column);
      body += fmt::format(
          "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.0f}\" height=\"{:.0f}\" "
          "fill-opacity=\"{:.3f}\"><title>{} taken for {}: {} ({:.1f} %)</title></rect>\n",
          row == column ? "right" : "wrong", x, y, side - 1, side - 1, share, svg_text(names[row]),
          svg_text(names[column]), counts[row][column], 100 * share);
      if (classes <= most_numbers) {
        body += fmt::format(
            "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" pointer-events=\"none\">{}"
            "</text>\n",
            x + side / 2, y + side / 2 + 4, counts[row][column]);
      }
    }
  }
  const double width = std::max(left + side * static_cast<double>(classes) + 16, 540.0);
  const double height = top + side * static_cast<double>(classes) + 16;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "width=\"{0:.0f}\" height=\"{1:.0f}\">\n<title>{2}</title>\n<style>\n"
      "svg {{ background: #fff; color: #222; font: 13px system-ui, sans-serif }}\n"
      "text {{ fill: currentColor }}\n.right {{ fill: #2a7f9e }}\n.wrong {{ fill: #d9822b }}\n"
      "@media (prefers-color-scheme: dark) {{ svg {{ background: #16181d; color: #ddd }} }}\n"
      "</style>\n<text x=\"16\" y=\"26\" font-weight=\"600\">{2}</text>\n"
      "<text x=\"16\" y=\"46\">Rows: the class. Columns, in the same order: what it is taken "
      "for.</text>\n{3}</svg>\n",
      width, height, svg_text(title), body);
}

constexpr double plot_side = 240;
constexpr double plot_margin = 56;

std::string class_page(double width, double height, const std::string& title,
                       const std::string& body) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "width=\"{0:.0f}\" height=\"{1:.0f}\">\n<title>{2}</title>\n<style>\n"
      "svg {{ background: #fff; color: #222; font: 13px system-ui, sans-serif }}\n"
      "text {{ fill: currentColor }}\n.soft {{ opacity: 0.7 }}\n"
      ".frame {{ fill: none; stroke: currentColor; stroke-opacity: 0.3 }}\n"
      ".even {{ stroke: currentColor; stroke-opacity: 0.5; stroke-dasharray: 4 3 }}\n"
      ".bar {{ fill: #2a7f9e }}\n.over {{ fill: #d9822b; fill-opacity: 0.45 }}\n"
      ".under {{ fill: #009e73; fill-opacity: 0.6 }}\n"
      "@media (prefers-color-scheme: dark) {{ svg {{ background: #16181d; color: #ddd }} }}\n"
      "</style>\n<text x=\"16\" y=\"26\" font-weight=\"600\">{2}</text>\n{3}</svg>\n",
      width, height, svg_text(title), body);
}

/// The shares of right answers as bars, what they lack of the confidences above them, what they
/// have too much of in a colour of its own, and the diagonal on which both are equal.
std::string reliability_panel(const std::string& name, const Reliability& found, double left,
                              double top) {
  const auto y = [&](double share) { return top + plot_side * (1 - share); };
  std::string body = fmt::format(
      "<g role=\"img\" aria-label=\"{0}\"><text x=\"{1:.1f}\" y=\"{2:.1f}\">{0}: ECE {3:.4f}"
      "</text>\n<rect class=\"frame\" x=\"{1:.1f}\" y=\"{4:.1f}\" width=\"{5}\" "
      "height=\"{5}\"/>\n",
      svg_text(name), left, top - 10, found.ece, top, plot_side);
  for (const ReliabilityBin& bin : found.bins) {
    if (bin.samples == 0) {
      continue;
    }
    const double x = left + plot_side * bin.low + 1;
    const double width = plot_side * (bin.high - bin.low) - 2;
    const double upper = std::max(bin.accuracy, bin.confidence);
    const double lower = std::min(bin.accuracy, bin.confidence);
    body += fmt::format(
        "<rect class=\"bar\" x=\"{0:.1f}\" y=\"{1:.1f}\" width=\"{2:.1f}\" height=\"{3:.1f}\"/>"
        "<rect class=\"{11}\" x=\"{0:.1f}\" y=\"{4:.1f}\" width=\"{2:.1f}\" height=\"{5:.1f}\">"
        "<title>{6} samples with confidences in ({7:.3f}, {8:.3f}], {9:.3f} on average: {10:.1f} % "
        "right</title></rect>\n",
        x, y(lower), width, plot_side * lower, y(upper), plot_side * (upper - lower), bin.samples,
        bin.low, bin.high, bin.confidence, 100 * bin.accuracy,
        bin.accuracy < bin.confidence ? "over" : "under");
  }
  body += fmt::format(
      "<line class=\"even\" x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{2:.1f}\" y2=\"{3:.1f}\"/>\n", left,
      y(0), left + plot_side, y(1));
  for (const double tick : {0.0, 0.5, 1.0}) {
    body += fmt::format(
        "<text class=\"soft\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:g}</text>"
        "<text class=\"soft\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n",
        left + plot_side * tick, top + plot_side + 16, tick, left - 6, y(tick) + 4, tick);
  }
  return body + "</g>\n";
}

std::string reliability_svg(const std::vector<Classified>& found,
                            const std::vector<Reliability>& reliabilities,
                            const std::string& title) {
  constexpr size_t in_row = 3;
  std::string body =
      "<text class=\"soft\" x=\"16\" y=\"46\">Blue and green: the share of right answers, by the "
      "confidence. Green: more than the confidence. Orange: what it lacks.</text>\n";
  for (size_t i = 0; i < found.size(); ++i) {
    body +=
        reliability_panel(found[i].name, reliabilities[i],
                          plot_margin + static_cast<double>(i % in_row) * (plot_side + plot_margin),
                          88 + static_cast<double>(i / in_row) * (plot_side + 60));
  }
  const double columns = static_cast<double>(std::min(in_row, found.size()));
  const double rows = std::ceil(static_cast<double>(found.size()) / in_row);
  return class_page(std::max(plot_margin + columns * (plot_side + plot_margin), 620.0),
                    64 + rows * (plot_side + 60), title, body);
}

/// A row for each class and a column for each of what classifies; bars from 0 to 100 %.
std::string accuracy_svg(const std::vector<Classified>& found,
                         const std::vector<std::vector<ClassAccuracy>>& accuracies,
                         const std::vector<std::string>& names, const std::string& title) {
  constexpr double letter = 7;
  constexpr double row_height = 20;
  constexpr double bar = 120;
  constexpr double column = bar + 60;
  size_t longest = 0;
  for (const std::string& name : names) {
    longest = std::max(longest, name.size());
  }
  const double left = 24 + letter * static_cast<double>(longest);
  std::string body;
  for (size_t i = 0; i < found.size(); ++i) {
    body += fmt::format("<text x=\"{:.1f}\" y=\"52\">{}</text>\n",
                        left + column * static_cast<double>(i), svg_text(found[i].name));
  }
  for (size_t row = 0; row < names.size(); ++row) {
    const double y = 64 + row_height * static_cast<double>(row);
    body += fmt::format("<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left - 6,
                        y + 12, svg_text(names[row]));
    for (size_t i = 0; i < found.size(); ++i) {
      const ClassAccuracy& one = accuracies[i][row];
      if (one.samples == 0) {
        continue;
      }
      const double share = static_cast<double>(one.right) / static_cast<double>(one.samples);
      const double x = left + column * static_cast<double>(i);
      body += fmt::format(
          "<rect class=\"frame\" x=\"{0:.1f}\" y=\"{1:.1f}\" width=\"{2}\" height=\"14\"/>"
          "<rect class=\"bar\" x=\"{0:.1f}\" y=\"{1:.1f}\" width=\"{3:.1f}\" height=\"14\"><title>"
          "{4}, {5}: {6} of {7} right</title></rect><text class=\"soft\" x=\"{8:.1f}\" "
          "y=\"{9:.1f}\">{10:.0f} %</text>\n",
          x, y + 1, bar, bar * share, svg_text(found[i].name), svg_text(names[row]), one.right,
          one.samples, x + bar + 6, y + 12, 100 * share);
    }
  }
  return class_page(std::max(left + column * static_cast<double>(found.size()) + 16, 480.0),
                    80 + row_height * static_cast<double>(names.size()), title, body);
}

std::vector<std::string> write_class_picture(const StageContext& context, const std::string& file,
                                             const std::string& svg,
                                             const std::optional<Canvas>& raster,
                                             const std::string& csv) {
  std::vector<std::string> files;
  const auto write = [&](const char* ending, const std::string& content) {
    files.push_back(file + ending);
    write_file_atomically(context.folder / files.back(), content);
  };
  write(".svg", svg);
  if (raster) {
    write(".png", raster->png());
  }
  write(".csv", csv);
  return files;
}

}  // namespace

std::vector<std::string> draw_confusion(const StageContext& context, const std::string& data,
                                        const std::vector<std::string>& names,
                                        const std::vector<Classified>& all) {
  std::vector<std::string> files;
  for (const Classified& found : all) {
    const ClassCounts counts = confusion_of(found, names.size());
    const std::string file = found.logits.defined()
                                 ? fmt::format("confusion-{}-{}", data, found.name)
                                 : "confusion-" + data;
    const std::string title = fmt::format("data.{}, {}", data, found.name);
    for (std::string& one : write_class_picture(context, file, confusion_svg(counts, names, title),
                                                confusion_raster(counts, names, title),
                                                confusion_csv(counts, names))) {
      files.push_back(std::move(one));
    }
  }
  return files;
}

std::vector<std::string> draw_class_accuracy(const StageContext& context, const std::string& data,
                                             const std::vector<std::string>& names,
                                             const std::vector<Classified>& all) {
  std::vector<std::string> classifiers;
  std::vector<std::vector<ClassAccuracy>> accuracies;
  std::string csv = "class,samples";
  for (const Classified& found : all) {
    classifiers.push_back(found.name);
    accuracies.push_back(
        accuracy_by_class(found.classes, found.labels, static_cast<int64_t>(names.size())));
    csv += "," + csv_cell(found.name);
  }
  csv += "\n";
  for (size_t row = 0; row < names.size(); ++row) {
    csv += fmt::format("{},{}", csv_cell(names[row]), accuracies.front()[row].samples);
    for (const std::vector<ClassAccuracy>& of_one : accuracies) {
      const ClassAccuracy& one = of_one[row];
      csv += one.samples == 0 ? ","
                              : fmt::format(",{:.6f}", static_cast<double>(one.right) /
                                                           static_cast<double>(one.samples));
    }
    csv += "\n";
  }
  const std::string title = fmt::format("data.{}: accuracy by class", data);
  return write_class_picture(context, "accuracy-" + data,
                             accuracy_svg(all, accuracies, names, title),
                             accuracy_raster(classifiers, accuracies, names, title), csv);
}

std::vector<std::string> draw_reliability(const StageContext& context, const std::string& data,
                                          const std::vector<Classified>& all) {
  std::vector<Classified> drawn;
  std::vector<std::string> probes;
  std::vector<Reliability> reliabilities;
  std::string csv = "probe,low,high,samples,confidence,accuracy\n";
  for (const Classified& found : all) {
    if (!found.logits.defined()) {
      continue;
    }
    drawn.push_back(found);
    probes.push_back(found.name);
    reliabilities.push_back(reliability(found.logits, found.labels));
    for (const ReliabilityBin& bin : reliabilities.back().bins) {
      csv +=
          fmt::format("{},{:.6f},{:.6f},{},", csv_cell(found.name), bin.low, bin.high, bin.samples);
      csv +=
          bin.samples == 0 ? ",\n" : fmt::format("{:.6f},{:.6f}\n", bin.confidence, bin.accuracy);
    }
  }
  if (drawn.empty()) {
    return {};
  }
  const std::string title = fmt::format("data.{}: reliability", data);
  return write_class_picture(context, "reliability-" + data,
                             reliability_svg(drawn, reliabilities, title),
                             reliability_raster(probes, reliabilities, title), csv);
}

}  // namespace bissl::host
