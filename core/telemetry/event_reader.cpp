#include "telemetry/event_reader.h"

#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

namespace bissl::host {
namespace {

using nlohmann::json;

/// No line of ours is longer.
constexpr size_t longest_line = size_t{64} << 20;

/// Keys that say where a line belongs and measure nothing.
bool is_place(const std::string& key) {
  return key == "step" || key == "phase" || key == "round" || key == not_finite_key;
}

std::optional<double> number_at(const json& object, const std::string& key, const json& value) {
  if (value.is_number()) {
    return value.get<double>();
  }
  const auto reasons = object.find(not_finite_key);
  if (!value.is_null() || reasons == object.end() || !reasons->is_object()) {
    return std::nullopt;
  }
  const std::string reason = reasons->value(key, std::string());
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (reason == "inf" || reason == "-inf") {
    return reason == "inf" ? infinity : -infinity;
  }
  return reason == "nan" ? std::optional(std::nan("")) : std::nullopt;
}

void add_numbers(const json& object, const std::string& prefix, const std::string& phase,
                 EventNumbers& event) {
  for (const auto& [key, value] : object.items()) {
    if (prefix.empty() && is_place(key)) {
      continue;
    }
    if (value.is_object() && prefix.empty() && key != not_finite_key) {
      add_numbers(value, key + "/", "", event);
    } else if (const std::optional<double> number = number_at(object, key, value)) {
      const std::string name = key == phase ? "loss" : key;
      event.values.emplace_back(phase.empty() ? prefix + name : phase + "/" + name, *number);
    }
  }
}

/// None for what no histogram of ours is.
std::optional<EventHistogram> histogram_of(const std::string& tag, const json& given) {
  try {
    EventHistogram histogram{.tag = tag,
                             .min = given.at("min").get<double>(),
                             .max = given.at("max").get<double>(),
                             .num = given.at("num").get<double>(),
                             .sum = given.at("sum").get<double>(),
                             .squares = given.at("squares").get<double>(),
                             .limits = given.at("limits").get<std::vector<double>>(),
                             .counts = given.at("counts").get<std::vector<double>>()};
    return histogram.limits.size() == histogram.counts.size() ? std::optional(std::move(histogram))
                                                              : std::nullopt;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

std::optional<EventNumbers> event_of(std::string_view line) {
  const json parsed = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    return std::nullopt;
  }
  const auto step = parsed.find("step");
  if (step == parsed.end() || !step->is_number_integer()) {
    return std::nullopt;
  }
  EventNumbers event{.step = step->get<int64_t>(), .values = {}};
  const auto phase = parsed.find("phase");
  if (phase != parsed.end() && phase->is_string()) {
    event.phase = phase->get<std::string>();
  }
  add_numbers(parsed, "", event.phase, event);
  std::sort(event.values.begin(), event.values.end(),
            [](const auto& one, const auto& other) { return one.first < other.first; });
  const auto histograms = parsed.find("histograms");
  if (histograms != parsed.end() && histograms->is_object()) {
    for (const auto& [tag, given] : histograms->items()) {
      if (auto histogram = histogram_of(tag, given)) {
        event.histograms.push_back(std::move(*histogram));
      }
    }
  }
  return event;
}

bool begins_a_line(const FileDescriptor& open, uint64_t position,
                   const std::filesystem::path& file) {
  char before = 0;
  return position == 0 || (position <= size_of(open, file) &&
                           read_at(open, &before, 1, position - 1, file) == 1 && before == '\n');
}

/// Complete lines from `position` on, of `most_bytes` or, where one line is longer, of that line.
std::string lines_from(const FileDescriptor& open, uint64_t position, size_t most_bytes,
                       const std::filesystem::path& file) {
  for (size_t size = std::max<size_t>(most_bytes, 1);; size *= 2) {
    std::string text(size, '\0');
    text.resize(read_at(open, text.data(), text.size(), position, file));
    const size_t end = text.rfind('\n');
    if (end != std::string::npos) {
      text.resize(end + 1);
      return text;
    }
    if (text.size() < size) {
      return "";
    }
    if (size > longest_line) {
      fail_input("{}: a line from byte {} on has more than {} bytes; this is no event log",
                 file.string(), position, longest_line);
    }
  }
}

}  // namespace

EventPart read_events(const std::filesystem::path& file, uint64_t position, size_t most_bytes) {
  const FileDescriptor open = open_for_reading(file);
  EventPart part;
  part.restarted = !begins_a_line(open, position, file);
  part.position = part.restarted ? 0 : position;
  const std::string text = lines_from(open, part.position, most_bytes, file);
  part.position += text.size();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (auto event = event_of(std::string_view(text).substr(begin, end - begin))) {
      part.events.push_back(std::move(*event));
    }
    begin = end + 1;
  }
  part.more = !text.empty() && !lines_from(open, part.position, 1, file).empty();
  return part;
}

EventPart read_events_if_there(const std::filesystem::path& file, uint64_t position) {
  try {
    return read_events(file, position);
  } catch (const Error&) {
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) {
      throw;
    }
    return {.events = {}, .position = position};
  }
}

}  // namespace bissl::host
