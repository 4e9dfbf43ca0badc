#include "report/svg.h"

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

constexpr double letter_width = 6.6;  ///< at the font size of the style
constexpr size_t series_colours = 8;

/// Whether no more than rounding may lie between two values, as between the means of equal results:
/// a step that divides it is lost when it is added to them.
bool are_alike(double low, double high) {
  constexpr double rounding = 1e-12;
  return !(high - low > rounding * std::max(std::abs(low), std::abs(high)));
}

/// The power of ten of a number above 0.
int power_of_ten(double number) { return static_cast<int>(std::floor(std::log10(number) + 1e-9)); }

double largest_of(const PlotScale& scale) {
  return std::max(std::abs(scale.low), std::abs(scale.high));
}

std::string tip_attribute(const std::string& tip) {
  return tip.empty() ? "" : fmt::format(R"( data-tip="{}")", xml_text(tip));
}

std::string tip_title(const std::string& tip) {
  return tip.empty() ? "" : fmt::format("<title>{}</title>", xml_text(tip));
}

}  // namespace

std::vector<std::string> shown_labels(const std::vector<std::string>& labels) {
  std::map<std::string, std::set<std::string>> originals;
  for (const std::string& label : labels) {
    originals[truncate_to_width(label, most_label_columns)].insert(label);
  }
  std::vector<std::string> shown;
  for (const std::string& label : labels) {
    const std::string cut = truncate_to_width(label, most_label_columns);
    const std::set<std::string>& alike = originals[cut];
    const auto number = std::distance(alike.begin(), alike.find(label)) + 1;
    shown.push_back(alike.size() == 1 ? cut : fmt::format("{} ({})", cut, number));
  }
  return shown;
}

double text_width(const std::string& text) {
  return letter_width * static_cast<double>(display_width(text));
}

double label_space(const std::vector<std::string>& shown) {
  double space = 40;
  for (const std::string& label : shown) {
    space = std::max(space, text_width(label) + 16);
  }
  return space;
}

PlotScale scale_of(std::vector<double> values, double from, double to) {
  constexpr double least = 1e-290;  // what is nearer to 0 is drawn as 0
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) {
    values = {0, 1};
  }
  const double low = *std::min_element(values.begin(), values.end());
  const double high = *std::max_element(values.begin(), values.end());
  const double largest = std::max(std::abs(low), std::abs(high));
  double room = 0.06 * (high - low);
  if (largest < least) {
    room = 1;
  } else if (are_alike(low, high)) {
    room = 0.1 * largest;
  }
  return {low - room, high + room, from, to};
}

std::string tick_text(double value, double step, double largest) {
  constexpr int most_digits = 8;
  constexpr double most_plain = 1e9;
  const int power = power_of_ten(step);
  if (power >= -most_digits && largest < most_plain) {
    return fmt::format("{:.{}f}", value == 0 ? 0.0 : value, std::max(0, -power));
  }
  if (value == 0) {
    return "0";
  }
  return fmt::format("{:.{}e}", value, std::clamp(power_of_ten(std::abs(value)) - power, 0, 15));
}

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

void SvgDrawing::line(double x1, double y1, double x2, double y2, const std::string& style) {
  body_ += fmt::format(R"(<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)"
                       "\n",
                       style, x1, y1, x2, y2);
}

void SvgDrawing::text(double x, double y, const std::string& words, const std::string& style) {
  body_ += fmt::format(R"(<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>)"
                       "\n",
                       style, x, y, xml_text(words));
}

void SvgDrawing::circle(double x, double y, double radius, const std::string& style,
                        const std::string& tip) {
  body_ += fmt::format(R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"{}>{}</circle>)"
                       "\n",
                       style, x, y, radius, tip_attribute(tip), tip_title(tip));
}

void SvgDrawing::rectangle(double x, double y, double w, double h, const std::string& style,
                           const std::string& tip, double opacity) {
  const std::string area = opacity < 1 ? fmt::format(R"( fill-opacity="{:.2f}")", opacity) : "";
  body_ += fmt::format(
      R"(<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"{}{}>{}</rect>)"
      "\n",
      style, x, y, w, h, area, tip_attribute(tip), tip_title(tip));
}

void SvgDrawing::frame(double x, double y, double w, double h) {
  body_ += fmt::format(
      R"(<rect class="grid frame" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)"
      "\n",
      x, y, w, h);
}

void SvgDrawing::polyline(const std::vector<std::pair<double, double>>& points,
                          const std::string& style) {
  std::string places;
  for (const auto& [x, y] : points) {
    places += fmt::format("{:.1f},{:.1f} ", x, y);
  }
  body_ += fmt::format(R"(<polyline class="{}" points="{}"/>)"
                       "\n",
                       style, places);
}

void SvgDrawing::x_axis(const PlotScale& scale, double top, double bottom,
                        const std::string& label) {
  const std::vector<double> at = ticks(scale.low, scale.high, 6);
  const double step = at.size() > 1 ? at[1] - at[0] : 1;
  for (const double value : at) {
    line(scale(value), top, scale(value), bottom, "grid");
    text(scale(value), bottom + 15, tick_text(value, step, largest_of(scale)), "number middle");
  }
  text((scale.from + scale.to) / 2, bottom + 32, label, "axis middle");
}

void SvgDrawing::y_axis(const PlotScale& scale, double left, double right,
                        const std::string& label) {
  const std::vector<double> at = ticks(scale.low, scale.high, 5);
  const double step = at.size() > 1 ? at[1] - at[0] : 1;
  for (const double value : at) {
    line(left, scale(value), right, scale(value), "grid");
    text(left - 6, scale(value) + 4, tick_text(value, step, largest_of(scale)), "number end");
  }
  text(left, scale.to - 8, label, "axis");
}

double SvgDrawing::legend(const std::vector<std::string>& names, bool lines, double left,
                          double top) {
  double x = left;
  double y = top;
  const std::vector<std::string> shown = shown_labels(names);
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = shown[i];
    const double needed = text_width(name) + 34;
    if (x > left && x + needed > plot_width - plot_right_margin) {
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

std::string SvgDrawing::series_class(size_t number) {
  return fmt::format("s{} d{}", number % series_colours, number / series_colours % 3);
}

Plot SvgDrawing::plot(const std::string& name, const std::string& title) const {
  return {name, title,
          fmt::format(R"(<svg class="plot" viewBox="0 0 {:.0f} {:.0f}" role="img" )"
                      R"(aria-label="{}" xmlns="http://www.w3.org/2000/svg">)"
                      "\n{}</svg>\n",
                      plot_width, height_, xml_text(title), body_)};
}

}  // namespace bissl::host
