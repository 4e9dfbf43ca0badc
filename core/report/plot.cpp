#include "report/plot.h"

#include "base/text_width.h"
#include "report/escaping.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

namespace bissl::host {
namespace {

constexpr double width = 760;
constexpr double right_margin = 24;
constexpr double row_height = 22;
constexpr double character = 6.6;  ///< width of one at the font size of the style
constexpr size_t most_label = 46;  ///< columns
constexpr int colours = 8;

/// The labels as they are drawn: long ones are cut, and those that would look alike then are
/// numbered.
std::vector<std::string> shown_labels(const std::vector<std::string>& labels) {
  std::map<std::string, std::set<std::string>> originals;
  for (const std::string& label : labels) {
    originals[truncate_to_width(label, most_label)].insert(label);
  }
  std::vector<std::string> shown;
  for (const std::string& label : labels) {
    const std::string cut = truncate_to_width(label, most_label);
    const std::set<std::string>& alike = originals[cut];
    const auto number = std::distance(alike.begin(), alike.find(label)) + 1;
    shown.push_back(alike.size() == 1 ? cut : fmt::format("{} ({})", cut, number));
  }
  return shown;
}

double text_width(const std::string& text) {
  return character * static_cast<double>(display_width(text));
}

/// Maps values to coordinates.
struct Scale {
  double low = 0;
  double high = 1;
  double from = 0;
  double to = 1;

  double operator()(double value) const {
    return from + (value - low) / (high - low) * (to - from);
  }
};

/// Whether no more than rounding may lie between two values, as between the means of equal results:
/// a step that divides it is lost when it is added to them.
bool are_alike(double low, double high) {
  constexpr double rounding = 1e-12;
  return !(high - low > rounding * std::max(std::abs(low), std::abs(high)));
}

/// A scale with some room around all values.
Scale scale_of(std::vector<double> values, double from, double to) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) {
    values = {0, 1};
  }
  double low = *std::min_element(values.begin(), values.end());
  double high = *std::max_element(values.begin(), values.end());
  const double room =
      are_alike(low, high) ? std::max(1e-9, 0.1 * std::abs(high)) : 0.06 * (high - low);
  return {low - room, high + room, from, to};
}

std::string tick_text(double value, double step) {
  const int digits = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 8);
  return fmt::format("{:.{}f}", value == 0 ? 0.0 : value, digits);
}

class Svg {
 public:
  explicit Svg(double height) : height_(height) {}

  void line(double x1, double y1, double x2, double y2, const std::string& style) {
    body_ += fmt::format(R"(<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)"
                         "\n",
                         style, x1, y1, x2, y2);
  }
  void text(double x, double y, const std::string& words, const std::string& style) {
    body_ += fmt::format(R"(<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>)"
                         "\n",
                         style, x, y, xml_text(words));
  }
  void circle(double x, double y, double radius, const std::string& style, const std::string& tip) {
    body_ += fmt::format(R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"{}>{}</circle>)"
                         "\n",
                         style, x, y, radius, tip_attribute(tip), tip_title(tip));
  }
  void rectangle(double x, double y, double w, double h, const std::string& style,
                 const std::string& tip) {
    body_ += fmt::format(
        R"(<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"{}>{}</rect>)"
        "\n",
        style, x, y, w, h, tip_attribute(tip), tip_title(tip));
  }
  void frame(double x, double y, double w, double h) {
    body_ += fmt::format(
        R"(<rect class="grid frame" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)"
        "\n",
        x, y, w, h);
  }
  void polyline(const std::vector<std::pair<double, double>>& points, const std::string& style) {
    std::string places;
    for (const auto& [x, y] : points) {
      places += fmt::format("{:.1f},{:.1f} ", x, y);
    }
    body_ += fmt::format(R"(<polyline class="{}" points="{}"/>)"
                         "\n",
                         style, places);
  }
  /// Vertical lines with numbers below them.
  void x_axis(const Scale& scale, double top, double bottom, const std::string& label) {
    const std::vector<double> at = ticks(scale.low, scale.high, 6);
    const double step = at.size() > 1 ? at[1] - at[0] : 1;
    for (const double value : at) {
      line(scale(value), top, scale(value), bottom, "grid");
      text(scale(value), bottom + 15, tick_text(value, step), "number middle");
    }
    text((scale.from + scale.to) / 2, bottom + 32, label, "axis middle");
  }
  void y_axis(const Scale& scale, double left, double right, const std::string& label) {
    const std::vector<double> at = ticks(scale.low, scale.high, 5);
    const double step = at.size() > 1 ? at[1] - at[0] : 1;
    for (const double value : at) {
      line(left, scale(value), right, scale(value), "grid");
      text(left - 6, scale(value) + 4, tick_text(value, step), "number end");
    }
    text(left, scale.to - 8, label, "axis");
  }
  /// Names of series with how they look, as lines or as areas, in rows; returns the height they
  /// take.
  double legend(const std::vector<std::string>& names, bool lines, double left, double top) {
    double x = left;
    double y = top;
    const std::vector<std::string> shown = shown_labels(names);
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string& name = shown[i];
      const double needed = text_width(name) + 34;
      if (x > left && x + needed > width - right_margin) {
        x = left;
        y += 18;
      }
      if (lines) {
        line(x - 4, y - 4, x + 16, y - 4, series_class(i) + " curve");
      } else {
        rectangle(x, y - 8, 14, 8, series_class(i) + " fill", "");
      }
      text(x + 20, y, name, "number");
      x += needed;
    }
    return y - top + 18;
  }

  static std::string series_class(size_t number) {
    return fmt::format("s{} d{}", number % colours, number / colours % 3);
  }

  Plot plot(const std::string& name, const std::string& title) const {
    return {name, title,
            fmt::format(R"(<svg class="plot" viewBox="0 0 {:.0f} {:.0f}" role="img" )"
                        R"(aria-label="{}" xmlns="http://www.w3.org/2000/svg">)"
                        "\n{}</svg>\n",
                        width, height_, xml_text(title), body_)};
  }
  void grow(double height) { height_ = height; }

 private:
  static std::string tip_attribute(const std::string& tip) {
    return tip.empty() ? "" : fmt::format(R"( data-tip="{}")", xml_text(tip));
  }
  static std::string tip_title(const std::string& tip) {
    return tip.empty() ? "" : fmt::format("<title>{}</title>", xml_text(tip));
  }

  double height_;
  std::string body_;
};

double label_space(const std::vector<std::string>& shown) {
  double space = 40;
  for (const std::string& label : shown) {
    space = std::max(space, text_width(label) + 16);
  }
  return space;
}

void draw_interval(Svg& svg, const IntervalRow& row, const Scale& scale, double y) {
  for (const double point : row.points) {
    svg.circle(scale(point), y, 3.5, "point", fmt::format("{}: {:.5g}", row.label, point));
  }
  if (row.low && row.high) {
    svg.line(scale(*row.low), y, scale(*row.high), y, "interval");
    svg.line(scale(*row.low), y - 4, scale(*row.low), y + 4, "interval");
    svg.line(scale(*row.high), y - 4, scale(*row.high), y + 4, "interval");
  }
  if (row.mean) {
    svg.rectangle(scale(*row.mean) - 4, y - 4, 8, 8, row.baseline ? "mean base" : "mean", row.tip);
  }
}

}  // namespace

std::vector<double> ticks(double low, double high, int count) {
  if (!(high > low) || !std::isfinite(low) || !std::isfinite(high) || are_alike(low, high)) {
    return {low};
  }
  const double raw = (high - low) / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = power;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * power;
    if (step >= raw * 0.999) {
      break;
    }
  }
  std::vector<double> found;
  for (double number = std::ceil(low / step - 1e-9); number * step <= high + 1e-9 * step;
       number += 1) {
    found.push_back(number * step);
  }
  return found;
}

std::string plot_style() {
  return R"(.plot{--ink:#1f2328;--soft:#59636e;--grid:#e3e6ea;--mean:#0b5cad;--base:#59636e;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#b0509a;--s4:#a87900;--s5:#2f9fd8;--s6:#7a5ad0;--s7:#8a8a8a;
font:12px system-ui,sans-serif;width:100%;max-width:760px;height:auto;display:block}
@media (prefers-color-scheme:dark){.plot{--ink:#e6edf3;--soft:#9da7b1;--grid:#30363d;--mean:#58a6ff;
--base:#9da7b1;--s0:#56b4e9;--s1:#ff8c42;--s2:#2bd4a4;--s3:#e08ac8;--s4:#e6b800;--s5:#8fd0ff;--s6:#b39bff;--s7:#b5b5b5}}
@media print{.plot{--ink:#000;--soft:#444;--grid:#ddd;--mean:#0b5cad;--base:#555}}
.plot text{fill:var(--ink)}.plot .number{fill:var(--soft);font-size:11px}
.plot .axis{fill:var(--soft);font-size:12px}.plot .middle{text-anchor:middle}
.plot .end{text-anchor:end}.plot .heading{font-weight:600}.plot .grid{stroke:var(--grid)}
.plot .zero{stroke:var(--soft);stroke-dasharray:4 3}.plot .interval{stroke:var(--mean);stroke-width:2}
.plot .point{fill:var(--soft);fill-opacity:.55}.plot .mean{fill:var(--mean)}.plot .base{fill:var(--base)}
.plot .s0{--c:var(--s0)}.plot .s1{--c:var(--s1)}.plot .s2{--c:var(--s2)}.plot .s3{--c:var(--s3)}
.plot .s4{--c:var(--s4)}.plot .s5{--c:var(--s5)}.plot .s6{--c:var(--s6)}.plot .s7{--c:var(--s7)}
.plot .fill{fill:var(--c)}.plot .curve{stroke:var(--c);fill:none;stroke-width:1.8}
.plot .curve.d1{stroke-dasharray:6 3}.plot .curve.d2{stroke-dasharray:2 3}
.plot .dot{fill:var(--c);fill-opacity:0}.plot .dot:hover{fill-opacity:1}
.plot .spot{fill:var(--c);fill-opacity:.7}.plot .frame{fill:none}
.plot [data-tip]:hover{stroke:var(--ink);stroke-width:1.2}
)";
}

std::string standalone(const Plot& plot) {
  std::string svg = plot.svg;
  const size_t end = svg.find('>') + 1;
  // A file has no page behind it: its background follows the viewer's scheme too.
  svg.insert(end, fmt::format("\n<title>{}</title>\n<style>{}.plot{{background:#fff}}\n@media "
                              "(prefers-color-scheme:dark){{.plot{{background:#0d1117}}}}</style>",
                              xml_text(plot.title), plot_style()));
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + svg;
}

Plot interval_plot(const std::string& name, const std::string& title, const std::string& scale,
                   const std::vector<IntervalRow>& rows, bool zero) {
  std::vector<std::string> labels;
  std::vector<double> values;
  for (const IntervalRow& row : rows) {
    labels.push_back(row.label);
    values.insert(values.end(), row.points.begin(), row.points.end());
    for (const auto& value : {row.mean, row.low, row.high}) {
      if (value) {
        values.push_back(*value);
      }
    }
  }
  if (zero) {
    values.push_back(0);
  }
  labels = shown_labels(labels);
  const double top = 10;
  const double bottom = top + row_height * static_cast<double>(rows.size());
  Svg svg(bottom + 42);
  const Scale x = scale_of(values, label_space(labels), width - right_margin);
  svg.x_axis(x, top, bottom, scale);
  if (zero) {
    svg.line(x(0), top, x(0), bottom, "zero");
  }
  double y = top + row_height / 2;
  for (size_t i = 0; i < rows.size(); ++i) {
    const IntervalRow& row = rows[i];
    const bool strong = row.heading || row.baseline;
    svg.text(row.heading ? 0 : 8, y + 4, labels[i], strong ? "heading" : "label");
    draw_interval(svg, row, x, y);
    y += row_height;
  }
  return svg.plot(name, title);
}

Plot line_plot(const std::string& name, const std::string& title, const std::string& x_label,
               const std::string& y_label, const std::vector<Line>& lines) {
  std::vector<double> xs;
  std::vector<double> ys;
  std::vector<std::string> names;
  for (const Line& line : lines) {
    xs.insert(xs.end(), line.x.begin(), line.x.end());
    ys.insert(ys.end(), line.y.begin(), line.y.end());
    names.push_back(line.label);
  }
  const double left = 56;
  const double top = 30;
  const double bottom = 270;
  Svg svg(bottom + 42);
  const Scale x = scale_of(xs, left, width - right_margin);
  const Scale y = scale_of(ys, bottom, top);
  svg.x_axis(x, top, bottom, x_label);
  svg.y_axis(y, left, width - right_margin, y_label);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::vector<std::pair<double, double>> points;
    for (size_t k = 0; k < lines[i].x.size(); ++k) {
      points.emplace_back(x(lines[i].x[k]), y(lines[i].y[k]));
    }
    svg.polyline(points, Svg::series_class(i) + " curve");
    for (size_t k = 0; k < points.size(); ++k) {
      svg.circle(
          points[k].first, points[k].second, 4.5, Svg::series_class(i) + " dot",
          fmt::format("{}\nstep {:.0f}: {:.5g}", lines[i].label, lines[i].x[k], lines[i].y[k]));
    }
  }
  if (lines.size() > 1) {
    svg.grow(bottom + 42 + svg.legend(names, /*lines=*/true, left, bottom + 52));
  }
  return svg.plot(name, title);
}

Plot spot_plot(const std::string& name, const std::string& title,
               const std::vector<SpotPanel>& panels) {
  constexpr size_t in_row = 3;
  constexpr double gap = 12;
  const auto columns = static_cast<double>(std::min(in_row, std::max<size_t>(panels.size(), 1)));
  const double side = std::min(360.0, (width - gap * (columns - 1)) / columns);
  std::set<std::string> found;
  for (const SpotPanel& panel : panels) {
    for (const Spot& spot : panel.spots) {
      if (!spot.group.empty()) {
        found.insert(spot.group);
      }
    }
  }
  const std::vector<std::string> groups(found.begin(), found.end());
  const double rows = std::ceil(static_cast<double>(panels.size()) / static_cast<double>(in_row));
  const double bottom = rows * (side + 28);
  Svg svg(bottom + 8);
  for (size_t i = 0; i < panels.size(); ++i) {
    const double left = static_cast<double>(i % in_row) * (side + gap);
    const size_t row = i / in_row;
    const double top = static_cast<double>(row) * (side + 28) + 20;
    svg.text(left, top - 6, truncate_to_width(panels[i].title, most_label), "axis");
    svg.frame(left, top, side, side);
    std::vector<double> xs;
    std::vector<double> ys;
    for (const Spot& spot : panels[i].spots) {
      xs.push_back(spot.x);
      ys.push_back(spot.y);
    }
    Scale x = scale_of(xs, left, left + side);
    Scale y = scale_of(ys, top + side, top);
    const double range = std::max(x.high - x.low, y.high - y.low);
    for (Scale* scale : {&x, &y}) {
      const double centre = (scale->low + scale->high) / 2;
      scale->low = centre - range / 2;
      scale->high = centre + range / 2;
    }
    for (const Spot& spot : panels[i].spots) {
      const auto group = std::find(groups.begin(), groups.end(), spot.group) - groups.begin();
      svg.circle(x(spot.x), y(spot.y), 2, Svg::series_class(static_cast<size_t>(group)) + " spot",
                 spot.group.empty() ? spot.tip : spot.tip + "\n" + spot.group);
    }
  }
  if (!groups.empty()) {
    svg.grow(bottom + 8 + svg.legend(groups, /*lines=*/false, 0, bottom + 16));
  }
  return svg.plot(name, title);
}

Plot bar_plot(const std::string& name, const std::string& title, const std::string& scale,
              const std::vector<std::string>& series, const std::vector<BarRow>& rows) {
  std::vector<std::string> labels;
  double highest = 0;
  for (const BarRow& row : rows) {
    labels.push_back(row.label);
    double sum = 0;
    for (const double part : row.parts) {
      sum += part;
    }
    highest = std::max(highest, sum);
  }
  const double top = 10;
  const double bottom = top + row_height * static_cast<double>(rows.size());
  labels = shown_labels(labels);
  const double left = label_space(labels);
  Svg svg(bottom + 42);
  const Scale x{0, std::max(highest, 1e-9) * 1.04, left, width - right_margin};
  svg.x_axis(x, top, bottom, scale);
  double y = top + row_height / 2;
  for (size_t number = 0; number < rows.size(); ++number) {
    const BarRow& row = rows[number];
    svg.text(8, y + 4, labels[number], "label");
    double from = 0;
    for (size_t i = 0; i < row.parts.size(); ++i) {
      if (row.parts[i] > 0) {
        svg.rectangle(x(from), y - 7, x(from + row.parts[i]) - x(from), 14,
                      Svg::series_class(i) + " fill",
                      fmt::format("{}\n{}: {:.4g} {}", row.label, series[i], row.parts[i], scale));
      }
      from += row.parts[i];
    }
    y += row_height;
  }
  if (series.size() > 1) {
    svg.grow(bottom + 42 + svg.legend(series, /*lines=*/false, left, bottom + 52));
  }
  return svg.plot(name, title);
}

}  // namespace bissl::host
