#include "stages/analyse/picture.h"

#include "preview/marks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

constexpr double side = 340;   // of a panel
constexpr double margin = 16;  // around it
constexpr size_t in_row = 3;
constexpr double letter = 7;  // about the width of one

/// Hues a golden angle apart: neighbouring classes differ, however many there are.
double hue_of(size_t group) { return std::fmod(210 + 137.508 * static_cast<double>(group), 360); }

std::string class_rules(size_t classes) {
  std::string rules;
  for (size_t i = 0; i < classes; ++i) {
    rules += fmt::format(".c{} {{ fill: hsl({:.0f} 70% 45%) }}\n", i, hue_of(i));
  }
  return rules;
}

std::string style_of(size_t classes) {
  return "<style>\n"
         "svg { background: #fff; color: #222; font: 13px system-ui, sans-serif }\n"
         "text { fill: currentColor }\n"
         ".frame { fill: none; stroke: currentColor; stroke-opacity: 0.3 }\n"
         "circle { fill-opacity: 0.75 }\n" +
         class_rules(classes) +
         "@media (prefers-color-scheme: dark) {\n"
         "svg { background: #16181d; color: #ddd }\n"
         "circle { filter: brightness(1.35) }\n"
         "}\n</style>\n";
}

/// Places points in a panel: both axes have one scale.
struct Placing {
  double scale = 0;
  double centre_x = 0;
  double centre_y = 0;

  explicit Placing(const at::Tensor& points) {
    const double* values = points.data_ptr<double>();
    double low[2] = {values[0], values[1]};
    double high[2] = {values[0], values[1]};
    for (int64_t i = 0; i < points.size(0); ++i) {
      for (int64_t c = 0; c < 2; ++c) {
        low[c] = std::min(low[c], values[2 * i + c]);
        high[c] = std::max(high[c], values[2 * i + c]);
      }
    }
    centre_x = (low[0] + high[0]) / 2;
    centre_y = (low[1] + high[1]) / 2;
    const double range = std::max(high[0] - low[0], high[1] - low[1]);
    scale = range > 0 ? (side - 12) / range : 0;
  }
};

std::string legend_svg(const std::vector<std::string>& legend, double width, double& top) {
  std::string svg;
  double x = margin;
  for (size_t i = 0; i < legend.size(); ++i) {
    const double needed = 26 + letter * static_cast<double>(legend[i].size());
    if (x > margin && x + needed > width) {
      x = margin;
      top += 20;
    }
    svg += fmt::format("<circle class=\"c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"/>", i, x + 5,
                       top - 4);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x + 14, top,
                       svg_text(legend[i]));
    x += needed;
  }
  top += legend.empty() ? 0 : 20;
  return svg;
}

}  // namespace

std::string svg_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return result;
}

std::string csv_cell(const std::string& text) {
  std::string cell = "\"";
  for (const char c : text) {
    cell += c;
    if (c == '"') {
      cell += '"';
    }
  }
  return cell + "\"";
}

std::string FeaturePicture::svg() const {
  const auto columns = static_cast<double>(std::min(in_row, panels.size()));
  const double width = margin + columns * (side + margin);
  double top = margin + 14;
  std::string body = fmt::format("<text x=\"{}\" y=\"{:.1f}\" font-weight=\"600\">{}</text>\n",
                                 margin, top, svg_text(title));
  top += 22;
  body += legend_svg(legend, width, top);
  for (size_t i = 0; i < panels.size(); ++i) {
    const double left = margin + static_cast<double>(i % in_row) * (side + margin);
    const double above = top + static_cast<double>(i / in_row) * (side + margin + 20);
    const at::Tensor points = panels[i].points.contiguous();
    const Placing placing(points);
    body += fmt::format(
        "<g role=\"img\" aria-label=\"{0}\"><text x=\"{1:.1f}\" y=\"{2:.1f}\">{0}"
        "</text>\n<rect class=\"frame\" x=\"{1:.1f}\" y=\"{3:.1f}\" width=\"{4}\" "
        "height=\"{4}\"/>\n",
        svg_text(panels[i].title), left, above, above + 6, side);
    for (int64_t point = 0; point < points.size(0); ++point) {
      const auto at = static_cast<size_t>(point);
      const double* place = points.data_ptr<double>() + 2 * point;
      const size_t group = classes.empty() ? 0 : static_cast<size_t>(classes[at]);
      body += fmt::format(
          "<circle class=\"c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.2\"><title>{}{}</title>"
          "</circle>\n",
          group, left + side / 2 + placing.scale * (place[0] - placing.centre_x),
          above + 6 + side / 2 - placing.scale * (place[1] - placing.centre_y), svg_text(names[at]),
          classes.empty() ? "" : ": " + svg_text(legend[group]));
    }
    body += "</g>\n";
  }
  const double height =
      top + std::ceil(static_cast<double>(panels.size()) / in_row) * (side + margin + 20);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "width=\"{0:.0f}\" height=\"{1:.0f}\">\n<title>{2}</title>\n{3}{4}</svg>\n",
      width, height, svg_text(title), style_of(std::max<size_t>(1, legend.size())), body);
}

std::string FeaturePicture::png() const {
  constexpr double scale = 2;
  constexpr int64_t letters = 2;
  constexpr Colour ink = {34, 34, 34};
  const auto pixels = [](double length) {
    return static_cast<int64_t>(std::lround(scale * length));
  };
  const auto write = [&](Canvas& canvas, double left, double baseline, const std::string& text) {
    draw_text(canvas, pixels(left), pixels(baseline) - letters * letter_height, text, letters, ink);
  };
  const auto columns = static_cast<double>(std::min(in_row, panels.size()));
  const double width = margin + columns * (side + margin);
  // Where the entries of the legend go, in rows as wide as the picture.
  struct Entry {
    double x;
    double y;
  };
  std::vector<Entry> entries;
  double top = margin + 36;
  double x = margin;
  for (const std::string& name : legend) {
    const double needed =
        26 + static_cast<double>(letters * letter_step * letters_in(name)) / scale;
    if (x > margin && x + needed > width) {
      x = margin;
      top += 20;
    }
    entries.push_back({x, top});
    x += needed;
  }
  top += legend.empty() ? 0 : 20;
  const double rows = std::ceil(static_cast<double>(panels.size()) / in_row);
  Canvas canvas(pixels(top + rows * (side + margin + 20)), pixels(width), 255);
  write(canvas, margin, margin + 14, title);
  for (size_t i = 0; i < entries.size(); ++i) {
    draw_dot(canvas, scale * (entries[i].x + 5), scale * (entries[i].y - 4), scale * 5,
             hsl_colour(hue_of(i), 0.7, 0.45), 1);
    write(canvas, entries[i].x + 14, entries[i].y, legend[i]);
  }
  for (size_t i = 0; i < panels.size(); ++i) {
    const double left = margin + static_cast<double>(i % in_row) * (side + margin);
    const double above = top + static_cast<double>(i / in_row) * (side + margin + 20);
    write(canvas, left, above, panels[i].title);
    draw_outline(canvas, pixels(left), pixels(above + 6), pixels(side), pixels(side),
                 {190, 190, 190});
    const at::Tensor points = panels[i].points.contiguous();
    const Placing placing(points);
    for (int64_t point = 0; point < points.size(0); ++point) {
      const double* place = points.data_ptr<double>() + 2 * point;
      const size_t group =
          classes.empty() ? 0 : static_cast<size_t>(classes[static_cast<size_t>(point)]);
      draw_dot(canvas, scale * (left + side / 2 + placing.scale * (place[0] - placing.centre_x)),
               scale * (above + 6 + side / 2 - placing.scale * (place[1] - placing.centre_y)),
               scale * 2.2, hsl_colour(hue_of(group), 0.7, 0.45), 0.75);
    }
  }
  return canvas.png();
}

std::string FeaturePicture::csv() const {
  std::string text = "network,sample,class,x,y\n";
  for (const PicturePanel& panel : panels) {
    const at::Tensor points = panel.points.contiguous();
    for (int64_t i = 0; i < points.size(0); ++i) {
      const auto at = static_cast<size_t>(i);
      text += fmt::format("{},{},{},{:.6g},{:.6g}\n", csv_cell(panel.title), csv_cell(names[at]),
                          classes.empty() ? "" : csv_cell(legend[static_cast<size_t>(classes[at])]),
                          points.data_ptr<double>()[2 * i], points.data_ptr<double>()[2 * i + 1]);
    }
  }
  return text;
}

}  // namespace bissl::host
