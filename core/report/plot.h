#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// A picture as SVG, in a page or alone. Marks carry what they show: as a <title>, which
/// viewers show on hover, and as data-tip, for a page's own script. Colours come from the page's
/// style sheet (plot_style), of which an SVG file holds a copy, in light and dark.
struct Plot {
  std::string name;  ///< for file names
  std::string title;
  std::string svg;
  /// What a page has in the place of the picture, if that is something else (report/spots.h).
  std::string page = {};
  /// Elements that the page needs besides, by their id; several plots may share one.
  std::map<std::string, std::string> elements = {};
};

/// The rules for the classes that plots use.
std::string plot_style();

/// The plot as a file of its own.
std::string standalone(const Plot& plot);

/// A row of an interval plot: single values as dots, a mean with its interval over them.
struct IntervalRow {
  std::string label;
  std::vector<double> points;
  std::optional<double> mean;
  std::optional<double> low;
  std::optional<double> high;
  std::string tip;  ///< for the mean
  bool baseline = false;
  bool heading = false;  ///< only a label
};

/// Rows one below the other over a common scale. `zero` draws a line at 0 and keeps it in view.
Plot interval_plot(const std::string& name, const std::string& title, const std::string& scale,
                   const std::vector<IntervalRow>& rows, bool zero);

struct Line {
  std::string label;
  std::vector<double> x;
  std::vector<double> y;
};

/// Lines over a common scale, with a legend if there are several.
Plot line_plot(const std::string& name, const std::string& title, const std::string& x_label,
               const std::string& y_label, const std::vector<Line>& lines);

/// A row of stacked bars.
struct BarRow {
  std::string label;
  std::vector<double> parts;  ///< one for each of the plot's series
};

Plot bar_plot(const std::string& name, const std::string& title, const std::string& scale,
              const std::vector<std::string>& series, const std::vector<BarRow>& rows);

/// A sample in a plane.
struct Spot {
  double x = 0;
  double y = 0;
  std::string group;  ///< has a colour; empty for none
  std::string tip;
};

/// The same samples as one network places them.
struct SpotPanel {
  std::string title;
  std::vector<Spot> spots;
};

/// Panels side by side, each with a scale of its own that is the same in x and y, with one legend
/// of the groups, in the order of their names.
Plot spot_plot(const std::string& name, const std::string& title,
               const std::vector<SpotPanel>& panels);

/// Round values that divide the range, about `count` of them.
std::vector<double> ticks(double low, double high, int count);

}  // namespace bissl::host
