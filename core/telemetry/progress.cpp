#include "telemetry/progress.h"

#include "base/text_width.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ostream>
#include <string_view>

namespace bissl::host {
namespace {

constexpr double redraw_seconds = 0.2;
constexpr double plain_seconds = 10.0;
/// The rate is an average in which what is this old counts 1/e.
constexpr double rate_memory_seconds = 10.0;
constexpr int default_width = 80;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Three digits that count; the bounds are where rounding would make it four.
std::string format_rate(double rate) {
  return rate >= 99.95   ? fmt::format("{:.0f}", rate)
         : rate >= 9.995 ? fmt::format("{:.1f}", rate)
                         : fmt::format("{:.2f}", rate);
}

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

ProgressStyle ProgressStyle::of(int fd) {
  ProgressStyle style;
  style.terminal = isatty(fd) == 1 && environment("TERM") != "dumb";
  style.colour = style.terminal && environment("NO_COLOR").empty();
  style.width = [fd] {
    winsize size{};
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? int{size.ws_col} : default_width;
  };
  return style;
}

std::string format_duration(double seconds) {
  // Beyond this no remaining time means anything, and the conversion must stay in range.
  constexpr double longest = 1000.0 * 86400.0;
  const auto whole = static_cast<int64_t>(std::lround(std::clamp(seconds, 0.0, longest)));
  const int64_t minutes = whole / 60;
  const int64_t hours = minutes / 60;
  if (minutes == 0) {
    return fmt::format("{}s", whole);
  }
  if (hours == 0) {
    return fmt::format("{}m{:02}s", minutes, whole % 60);
  }
  return hours < 24 ? fmt::format("{}h{:02}m", hours, minutes % 60)
                    : fmt::format("{}d{:02}h", hours / 24, hours % 24);
}

Progress::Progress(std::ostream& out, ProgressStyle style, Plan plan)
    : out_(out), style_(std::move(style)), plan_(std::move(plan)), step_(plan_.first_step) {
  if (!style_.clock) {
    style_.clock = steady_seconds;
  }
  if (!style_.width) {
    style_.width = [] { return default_width; };
  }
  start_ = last_drawn_ = last_sample_ = style_.clock();
  sampled_step_ = step_;
  if (style_.terminal) {
    redraw(start_);
  }
  up_to_date_ = true;  // before the first step there is nothing worth a last line
}

Progress::~Progress() {
  if (finished_) {
    return;
  }
  try {
    if (!up_to_date_) {
      redraw(style_.clock());
    }
    if (line_open_) {
      out_ << '\n' << std::flush;
    }
  } catch (...) {  // a stream that throws, or no memory: the text is not worth ending the program
  }
}

void Progress::update(int64_t step, Values values) {
  step_ = step;
  values_ = std::move(values);
  up_to_date_ = false;
  const double now = style_.clock();
  if (now - last_drawn_ >= (style_.terminal ? redraw_seconds : plain_seconds)) {
    redraw(now);
  }
}

void Progress::finish(const std::string& summary) {
  if (finished_) {
    return;
  }
  const double seconds = style_.clock() - start_;
  std::string line = fmt::format("{}  done in {}", plan_.stage, format_duration(seconds));
  const auto items = static_cast<double>((step_ - plan_.first_step) * plan_.items_per_step);
  if (items > 0.0 && seconds > 0.0) {
    line += fmt::format("  {} {}/s", format_rate(items / seconds), plan_.unit);
  }
  if (!summary.empty()) {
    line += "  " + summary;
  }
  show(line, /*cut=*/false);
  if (line_open_) {
    out_ << '\n' << std::flush;
    line_open_ = false;
  }
  finished_ = true;
}

/// Steps and seconds fade alike, so their quotient is a weighted average from the first sample on.
void Progress::sample_rate(double now) {
  const double seconds = now - last_sample_;
  if (seconds <= 0.0 || step_ < sampled_step_) {
    return;
  }
  const double kept = std::exp(-seconds / rate_memory_seconds);
  recent_steps_ = recent_steps_ * kept + static_cast<double>(step_ - sampled_step_);
  recent_seconds_ = recent_seconds_ * kept + seconds;
  last_sample_ = now;
  sampled_step_ = step_;
}

std::string Progress::state_line() const {
  std::string line = fmt::format("{}  {}/{}", plan_.stage, step_, plan_.total);
  if (plan_.total > 0) {
    line += fmt::format("  {}%", 100 * step_ / plan_.total);
  }
  if (recent_steps_ > 0.0) {
    const double rate = recent_steps_ / recent_seconds_;
    line += fmt::format("  {} {}/s", format_rate(rate * static_cast<double>(plan_.items_per_step)),
                        plan_.unit);
    line +=
        fmt::format("  {} left", format_duration(static_cast<double>(plan_.total - step_) / rate));
  }
  for (const auto& [name, value] : values_) {
    line += fmt::format("  {} {:.4g}", name, value);
  }
  return line;
}

void Progress::show(const std::string& line, bool cut) {
  if (!style_.terminal) {
    out_ << line << '\n' << std::flush;
    return;
  }
  // The last column stays free: some terminals wrap as soon as it is filled.
  const auto width = static_cast<size_t>(std::max(style_.width() - 1, 0));
  std::string text = cut ? truncate_to_width(line, width) : line;
  if (style_.colour && text.starts_with(plan_.stage)) {
    text = "\x1b[1m" + plan_.stage + "\x1b[0m" + text.substr(plan_.stage.size());
  }
  out_ << '\r' << text << "\x1b[K" << std::flush;
  line_open_ = true;
}

void Progress::redraw(double now) {
  sample_rate(now);
  show(state_line(), /*cut=*/true);
  last_drawn_ = now;
  up_to_date_ = true;
}

}  // namespace bissl::host
