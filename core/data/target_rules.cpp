#include "data/target_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl::host {
namespace {

bool is_blank(const std::string& name) {
  return name.find_first_not_of(" \t\r\n") == std::string::npos;
}

std::string fault_of_names(const std::vector<std::string>& names) {
  std::set<std::string> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    if (is_blank(names[i])) {
      return fmt::format("name {} of its targets is empty", i);
    }
    if (!seen.insert(names[i]).second) {
      return fmt::format("two of its targets are called \"{}\"", names[i]);
    }
  }
  return "";
}

std::string fault_of_entries(const TargetSpec& spec, const std::vector<float>& values) {
  if (static_cast<int64_t>(values.size()) != spec.width) {
    return fmt::format("{} entries as its target; expected {}", values.size(),
                       counted_targets(spec));
  }
  const bool labels = spec.kind == TargetKind::multi_label;
  for (size_t i = 0; i < values.size(); ++i) {
    const float value = values[i];
    const bool right = labels ? value == 0.0F || value == 1.0F : std::isfinite(value);
    if (!right && !std::isnan(value)) {
      return fmt::format(
          "{} as entry {} of its target; expected {}, or NaN for what does not count", value, i,
          labels ? "0 or 1" : "a finite number");
    }
  }
  return "";
}

}  // namespace

std::string fault_of(const TargetSpec& spec) {
  if (spec.kind < TargetKind::none || spec.kind > TargetKind::mask) {
    return fmt::format("there is no kind of target {}", static_cast<int>(spec.kind));
  }
  if (spec.kind == TargetKind::none) {
    return spec.width == 0 && spec.names.empty()
               ? ""
               : fmt::format("{} targets and {} names, although its kind is none", spec.width,
                             spec.names.size());
  }
  if (spec.width < 1) {
    return fmt::format("{} targets, of the kind {}; expected at least 1", spec.width,
                       to_string(spec.kind));
  }
  const bool nameless = spec.kind == TargetKind::values && spec.names.empty();
  if (!nameless && static_cast<int64_t>(spec.names.size()) != spec.width) {
    return fmt::format("{} names for {}", spec.names.size(), counted_targets(spec));
  }
  if (spec.kind == TargetKind::mask && spec.width > not_counted_pixel) {
    return fmt::format("{} categories; a mask has at most {}", spec.width, not_counted_pixel);
  }
  return fault_of_names(spec.names);
}

std::string fault_of(const TargetSpec& spec, const Target& target) {
  switch (spec.kind) {
    case TargetKind::none:
      return "";
    case TargetKind::category:
      return target.category >= 0 && target.category < spec.width
                 ? ""
                 : fmt::format("the category {}; expected 0 to {}", target.category,
                               spec.width - 1);
    case TargetKind::multi_label:
    case TargetKind::values:
      return fault_of_entries(spec, target.values);
    case TargetKind::mask:
      return target.mask.pixels != nullptr && target.mask.shape.channels == 1 &&
                     target.mask.type == PixelType::uint8
                 ? ""
                 : "no mask of one channel of 8 bits";
  }
  return "";
}

std::string fault_of_mask(const TargetSpec& spec, const Sample& sample) {
  if (std::string fault = fault_of(spec, sample.target); !fault.empty()) {
    return fault;
  }
  const ImageShape& mask = sample.target.mask.shape;
  const ImageShape& image = sample.image.shape;
  if (mask.height != image.height || mask.width != image.width) {
    return fmt::format("a mask of {}x{} pixels for an image of {}x{}", mask.height, mask.width,
                       image.height, image.width);
  }
  const uint8_t* const begin = sample.target.mask.pixels;
  const uint8_t* const end = begin + mask.elements();
  const uint8_t* const wrong = std::find_if(
      begin, end, [&](uint8_t pixel) { return pixel >= spec.width && pixel != not_counted_pixel; });
  return wrong == end ? ""
                      : fmt::format(
                            "a mask with the category {}; expected 0 to {}, or {} for what "
                            "does not count",
                            *wrong, spec.width - 1, not_counted_pixel);
}

std::string counted_targets(const TargetSpec& spec) {
  const bool one = spec.width == 1;
  switch (spec.kind) {
    case TargetKind::none:
      return "no targets";
    case TargetKind::multi_label:
      return fmt::format("{} label{}", spec.width, one ? "" : "s");
    case TargetKind::values:
      return fmt::format("{} value{}", spec.width, one ? "" : "s");
    case TargetKind::category:
    case TargetKind::mask:
      break;
  }
  return fmt::format("{} {}", spec.width, one ? "category" : "categories");
}

std::string describe(const TargetSpec& spec) {
  if (spec.kind == TargetKind::none) {
    return "no targets";
  }
  return fmt::format("{} targets ({})", to_string(spec.kind),
                     spec.names.empty() ? counted_targets(spec) : some_of(spec.names));
}

std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t most = 5;
  const size_t shown = std::min(most, names.size());
  const std::vector<std::string> first(names.begin(), names.begin() + static_cast<long>(shown));
  const std::string text = fmt::format("\"{}\"", fmt::join(first, "\", \""));
  return shown < names.size() ? fmt::format("{} and {} more", text, names.size() - shown) : text;
}

}  // namespace bissl::host
