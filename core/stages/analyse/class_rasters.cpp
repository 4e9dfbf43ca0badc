#include "stages/analyse/class_rasters.h"

#include "base/text_width.h"
#include "preview/marks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace bissl::host {
namespace {

constexpr Colour raster_ink = {34, 34, 34};
constexpr Colour raster_frame = {190, 190, 190};
constexpr Colour right_answers = {42, 127, 158};
constexpr Colour wrong_answers = {217, 130, 43};
constexpr Colour surplus_answers = {0, 158, 115};  ///< more of them than the confidence says

/// A light picture. Lengths and places are in units of `scale` pixels.
class ClassRaster {
 public:
  ClassRaster(double width, double height, int64_t scale)
      : scale_(scale), canvas_(pixels(height), pixels(width), 255) {}

  /// `y` is that of the base line; `before` is the share of the text that is left of `x`.
  void text(double x, double y, const std::string& words, double before = 0) {
    const auto width = static_cast<double>(letter_step * letters_in(words));
    draw_text(canvas_, pixels(x - before * width), pixels(y) - scale_ * letter_height, words,
              scale_, raster_ink);
  }
  void area(double x, double y, double w, double h, const Colour& colour, double opacity) {
    const int64_t left = pixels(x);
    const int64_t top = pixels(y);
    draw_area(canvas_, left, top, pixels(x + w) - left, pixels(y + h) - top, colour, opacity);
  }
  void frame(double x, double y, double w, double h) {
    draw_outline(canvas_, pixels(x), pixels(y), pixels(w), pixels(h), raster_frame);
  }
  /// Ends the drawing.
  Canvas take() { return std::move(canvas_); }

 private:
  int64_t pixels(double length) const {
    return static_cast<int64_t>(std::lround(static_cast<double>(scale_) * length));
  }

  int64_t scale_;
  Canvas canvas_;
};

int64_t raster_scale(size_t classes) {
  constexpr size_t most_at_twice = 100;
  return classes <= most_at_twice ? 2 : 1;
}

/// The names of rows as they are drawn, and the room that they need on the left.
struct RowNames {
  std::vector<std::string> shown;
  double room = 0;

  explicit RowNames(const std::vector<std::string>& names) {
    constexpr size_t most_columns = 40;
    int64_t longest = 0;
    for (const std::string& name : names) {
      shown.push_back(truncate_to_width(name, most_columns));
      longest = std::max(longest, letters_in(shown.back()));
    }
    room = 24 + static_cast<double>(letter_step * longest);
  }
};

constexpr double panel_side = 240;
constexpr double panel_margin = 56;

/// The shares of right answers, what they lack of the confidences or have too much of, and the
/// diagonal on which both are equal.
void draw_reliability_panel(const std::string& probe, const Reliability& found, double left,
                            double top, ClassRaster& raster) {
  const auto y = [&](double share) { return top + panel_side * (1 - share); };
  raster.text(left, top - 10, fmt::format("{}: ECE {:.4f}", probe, found.ece));
  for (const ReliabilityBin& bin : found.bins) {
    if (bin.samples == 0) {
      continue;
    }
    const double x = left + panel_side * bin.low + 1;
    const double width = panel_side * (bin.high - bin.low) - 2;
    const double upper = std::max(bin.accuracy, bin.confidence);
    const double lower = std::min(bin.accuracy, bin.confidence);
    raster.area(x, y(lower), width, panel_side * lower, right_answers, 1);
    if (bin.accuracy < bin.confidence) {
      raster.area(x, y(upper), width, panel_side * (upper - lower), wrong_answers, 0.45);
    } else {
      raster.area(x, y(upper), width, panel_side * (upper - lower), surplus_answers, 0.6);
    }
  }
  raster.frame(left, top, panel_side, panel_side);
  constexpr int dash = 4;
  constexpr int period = 7;
  for (int i = 0; i < static_cast<int>(panel_side); ++i) {
    if (i % period < dash) {
      raster.area(left + i, top + panel_side - 1 - i, 1, 1, raster_ink, 0.5);
    }
  }
  for (const double tick : {0.0, 0.5, 1.0}) {
    const std::string number = fmt::format("{:g}", tick);
    raster.text(left + panel_side * tick, top + panel_side + 16, number, 0.5);
    raster.text(left - 6, y(tick) + 4, number, 1);
  }
}

}  // namespace

std::optional<Canvas> confusion_raster(const std::vector<std::vector<int64_t>>& counts,
                                       const std::vector<std::string>& names,
                                       const std::string& title) {
  constexpr size_t most_numbers = 20;
  constexpr size_t most_names = 300;
  constexpr double top = 66;
  const size_t classes = names.size();
  if (classes > most_raster_classes) {
    return std::nullopt;
  }
  const double cell = classes <= most_numbers ? 38 : classes <= most_names ? 12 : 4;
  const RowNames rows(names);
  const double left = classes <= most_names ? rows.room : 16;
  const double width = cell * static_cast<double>(classes);
  ClassRaster raster(std::max(left + width + 16, 540.0), top + width + 16, raster_scale(classes));
  raster.text(16, 26, title);
  raster.text(16, 46, "Rows: the class. Columns, in the same order: what it is taken for.");
  for (size_t row = 0; row < classes; ++row) {
    const double y = top + cell * static_cast<double>(row);
    const int64_t sum = std::accumulate(counts[row].begin(), counts[row].end(), int64_t{0});
    if (classes <= most_names) {
      raster.text(left - 6, y + cell / 2 + 4, rows.shown[row], 1);
    }
    for (size_t column = 0; column < classes; ++column) {
      const int64_t count = counts[row][column];
      const double x = left + cell * static_cast<double>(column);
      const double share = sum > 0 ? static_cast<double>(count) / static_cast<double>(sum) : 0;
      raster.area(x, y, cell - 1, cell - 1, row == column ? right_answers : wrong_answers, share);
      if (classes <= most_numbers) {
        raster.text(x + cell / 2, y + cell / 2 + 4, fmt::format("{}", count), 0.5);
      }
    }
  }
  return raster.take();
}

std::optional<Canvas> accuracy_raster(const std::vector<std::string>& classifiers,
                                      const std::vector<std::vector<ClassAccuracy>>& accuracies,
                                      const std::vector<std::string>& names,
                                      const std::string& title) {
  constexpr double row_height = 20;
  constexpr double bar = 120;
  constexpr double bar_height = 14;
  constexpr double column = bar + 60;
  constexpr double top = 64;
  if (names.size() > most_raster_classes) {
    return std::nullopt;
  }
  const RowNames rows(names);
  ClassRaster raster(
      std::max(rows.room + column * static_cast<double>(classifiers.size()) + 16, 480.0),
      top + row_height * static_cast<double>(names.size()) + 16, raster_scale(names.size()));
  raster.text(16, 26, title);
  for (size_t i = 0; i < classifiers.size(); ++i) {
    const double x = rows.room + column * static_cast<double>(i);
    raster.text(x, top - 12, classifiers[i]);
    for (size_t row = 0; row < names.size(); ++row) {
      const ClassAccuracy& one = accuracies[i][row];
      if (one.samples == 0) {
        continue;
      }
      const double y = top + row_height * static_cast<double>(row);
      const double share = static_cast<double>(one.right) / static_cast<double>(one.samples);
      raster.area(x, y + 1, bar * share, bar_height, right_answers, 1);
      raster.frame(x, y + 1, bar, bar_height);
      raster.text(x + bar + 6, y + 12, fmt::format("{:.0f} %", 100 * share));
    }
  }
  for (size_t row = 0; row < names.size(); ++row) {
    raster.text(rows.room - 6, top + row_height * static_cast<double>(row) + 12, rows.shown[row],
                1);
  }
  return raster.take();
}

Canvas reliability_raster(const std::vector<std::string>& probes,
                          const std::vector<Reliability>& found, const std::string& title) {
  constexpr size_t across = 3;
  constexpr double row_height = panel_side + 60;
  const auto columns = static_cast<double>(std::min(across, probes.size()));
  const auto rows = static_cast<double>((probes.size() + across - 1) / across);
  ClassRaster raster(std::max(panel_margin + columns * (panel_side + panel_margin), 620.0),
                     64 + rows * row_height, 2);
  raster.text(16, 26, title);
  raster.text(16, 44, "Blue and green: the share of right answers, by the confidence.");
  raster.text(16, 58, "Green: more than the confidence. Orange: what it lacks.");
  for (size_t i = 0; i < probes.size(); ++i) {
    draw_reliability_panel(
        probes[i], found[i],
        panel_margin + static_cast<double>(i % across) * (panel_side + panel_margin),
        88 + static_cast<double>(i / across) * row_height, raster);
  }
  return raster.take();
}

}  // namespace bissl::host
