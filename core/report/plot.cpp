#include "report/plot.h"

#include "base/text_width.h"
#include "report/escaping.h"
#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl::host {
namespace {

constexpr double row_height = 22;

void draw_interval(SvgDrawing& svg, const IntervalRow& row, const PlotScale& scale, double y) {
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

std::string plot_style() {
  return R"(.plot{--ink:#1f2328;--soft:#59636e;--grid:#e3e6ea;--mean:#0b5cad;--base:#59636e;--over:#fff;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#b0509a;--s4:#a87900;--s5:#2f9fd8;--s6:#7a5ad0;--s7:#8a8a8a;
font:12px system-ui,sans-serif;width:100%;max-width:760px;height:auto;display:block}
@media (prefers-color-scheme:dark){.plot{--ink:#e6edf3;--soft:#9da7b1;--grid:#30363d;--mean:#58a6ff;--over:#0d1117;
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
.plot .count{pointer-events:none}.plot .over{fill:var(--over)}
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
  SvgDrawing svg(bottom + 42);
  const PlotScale x = scale_of(values, label_space(labels), plot_width - plot_right_margin);
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
  SvgDrawing svg(bottom + 42);
  const PlotScale x = scale_of(xs, left, plot_width - plot_right_margin);
  const PlotScale y = scale_of(ys, bottom, top);
  svg.x_axis(x, top, bottom, x_label);
  svg.y_axis(y, left, plot_width - plot_right_margin, y_label);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::vector<std::pair<double, double>> points;
    for (size_t k = 0; k < lines[i].x.size(); ++k) {
      points.emplace_back(x(lines[i].x[k]), y(lines[i].y[k]));
    }
    svg.polyline(points, SvgDrawing::series_class(i) + " curve");
    for (size_t k = 0; k < points.size(); ++k) {
      svg.circle(
          points[k].first, points[k].second, 4.5, SvgDrawing::series_class(i) + " dot",
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
  const double side = std::min(360.0, (plot_width - gap * (columns - 1)) / columns);
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
  SvgDrawing svg(bottom + 8);
  for (size_t i = 0; i < panels.size(); ++i) {
    const double left = static_cast<double>(i % in_row) * (side + gap);
    const size_t row = i / in_row;
    const double top = static_cast<double>(row) * (side + 28) + 20;
    svg.text(left, top - 6, truncate_to_width(panels[i].title, most_label_columns), "axis");
    svg.frame(left, top, side, side);
    std::vector<double> xs;
    std::vector<double> ys;
    for (const Spot& spot : panels[i].spots) {
      xs.push_back(spot.x);
      ys.push_back(spot.y);
    }
    PlotScale x = scale_of(xs, left, left + side);
    PlotScale y = scale_of(ys, top + side, top);
    const double range = std::max(x.high - x.low, y.high - y.low);
    for (PlotScale* scale : {&x, &y}) {
      const double centre = (scale->low + scale->high) / 2;
      scale->low = centre - range / 2;
      scale->high = centre + range / 2;
    }
    for (const Spot& spot : panels[i].spots) {
      const auto group = std::find(groups.begin(), groups.end(), spot.group) - groups.begin();
      svg.circle(x(spot.x), y(spot.y), 2,
                 SvgDrawing::series_class(static_cast<size_t>(group)) + " spot",
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
  SvgDrawing svg(bottom + 42);
  // Bars without length, as of stages that took no time, have an axis all the same.
  const PlotScale x{0, 1.04 * (highest > 0 ? highest : 1), left, plot_width - plot_right_margin};
  svg.x_axis(x, top, bottom, scale);
  double y = top + row_height / 2;
  for (size_t number = 0; number < rows.size(); ++number) {
    const BarRow& row = rows[number];
    svg.text(8, y + 4, labels[number], "label");
    double from = 0;
    for (size_t i = 0; i < row.parts.size(); ++i) {
      if (row.parts[i] > 0) {
        svg.rectangle(x(from), y - 7, x(from + row.parts[i]) - x(from), 14,
                      SvgDrawing::series_class(i) + " fill",
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
