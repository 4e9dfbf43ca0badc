#pragma once

#include "report/plot.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

// What the report's pictures are drawn with. Lengths and places are in units of the view box, which
// is `plot_width` wide; y grows downwards.

inline constexpr double plot_width = 760;
inline constexpr double plot_right_margin = 24;   ///< beside what axes and labels leave
inline constexpr size_t most_label_columns = 46;  ///< of a label; a longer one is cut

/// The labels as they are drawn: long ones are cut, and those that would look alike then are
/// numbered.
std::vector<std::string> shown_labels(const std::vector<std::string>& labels);

/// The width of a text at the font size of the style.
double text_width(const std::string& text);

/// The room that labels need on the left of a picture.
double label_space(const std::vector<std::string>& shown);

/// Maps values to coordinates. `low` and `high` differ.
struct PlotScale {
  double low = 0;   ///< the least value
  double high = 1;  ///< the greatest
  double from = 0;  ///< where `low` is
  double to = 1;    ///< where `high` is

  /// Where a value is.
  double operator()(double value) const {
    return from + (value - low) / (high - low) * (to - from);
  }
};

/// A scale with some room around all values, equal ones included; what is not finite is left out.
PlotScale scale_of(std::vector<double> values, double from, double to);

/// How an axis says a value where its ticks are `step` apart and its values have magnitudes up to
/// `largest`: with as many digits as tell the ticks apart, in powers of ten where those are many.
std::string tick_text(double value, double step, double largest);

/// A picture that grows mark by mark. Styles are classes of plot_style().
class SvgDrawing {
 public:
  /// `height` is that of the view box.
  explicit SvgDrawing(double height) : height_(height) {}

  void line(double x1, double y1, double x2, double y2, const std::string& style);
  /// `y` is that of the base line.
  void text(double x, double y, const std::string& words, const std::string& style);
  /// `tip` is what the mark says on hover; empty for nothing.
  void circle(double x, double y, double radius, const std::string& style, const std::string& tip);
  /// `opacity` is that of the area, 0 to 1.
  void rectangle(double x, double y, double w, double h, const std::string& style,
                 const std::string& tip, double opacity = 1);
  /// The outline of a rectangle.
  void frame(double x, double y, double w, double h);
  /// A line through points (x, y).
  void polyline(const std::vector<std::pair<double, double>>& points, const std::string& style);
  /// Vertical lines with numbers below them.
  void x_axis(const PlotScale& scale, double top, double bottom, const std::string& label);
  /// Horizontal lines with numbers before them.
  void y_axis(const PlotScale& scale, double left, double right, const std::string& label);
  /// Names of series with how they look, as lines or as areas, in rows; returns the height they
  /// take.
  double legend(const std::vector<std::string>& names, bool lines, double left, double top);
  /// Makes the view box as high as that.
  void grow(double height) { height_ = height; }

  /// The classes of a series, which give it its colour.
  static std::string series_class(size_t number);

  /// The picture, whose label for screen readers is its title.
  Plot plot(const std::string& name, const std::string& title) const;

 private:
  double height_;
  std::string body_;
};

}  // namespace bissl::host
