#include "readable_images.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bissl {
namespace {

/// NaN is equal to itself here.
bool same_values(const std::vector<float>& left, const std::vector<float>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); });
}

bool alike(TargetKind kind, const Target& left, const Target& right) {
  return kind == TargetKind::none ||
         (left.category == right.category && same_values(left.values, right.values));
}

/// The images that may take each other's place.
std::string group(const TargetSpec& spec, const Target& target) {
  if (spec.kind == TargetKind::none) {
    return "the data";
  }
  return spec.kind == TargetKind::category
             ? fmt::format("class \"{}\"", spec.names[static_cast<size_t>(target.category)])
             : std::string("the same target");
}

}  // namespace

ReadableImages::ReadableImages(ImageReader reader, const std::string& broken)
    : reader_(std::move(reader)) {
  if (broken == "skip") {
    broken_ = std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(reader_.size));
  }
}

bool ReadableImages::is_broken(int64_t index) const {
  return broken_[static_cast<size_t>(index)].load(std::memory_order_relaxed) != 0;
}

void ReadableImages::note_broken(int64_t index) const {
  broken_[static_cast<size_t>(index)].store(1, std::memory_order_relaxed);
}

Image ReadableImages::substitute(int64_t index, const std::string& reason) const {
  const TargetKind kind = reader_.targets.kind;
  const Target wanted = reader_.target(index);
  for (int64_t step = 1; step < reader_.size; ++step) {
    const int64_t other = (index + step) % reader_.size;
    if (is_broken(other) || !alike(kind, wanted, reader_.target(other))) {
      continue;
    }
    try {
      return reader_.read(other);
    } catch (const SourceError&) {
      throw;
    } catch (const Error&) {
      note_broken(other);
    }
  }
  fail_input("no image of {} can be read; {}", group(reader_.targets, wanted), reason);
}

Image ReadableImages::get(int64_t index) const {
  if (broken_ && is_broken(index)) {
    return substitute(index, reader_.name(index) + " is broken");
  }
  try {
    return reader_.read(index);
  } catch (const SourceError&) {
    throw;
  } catch (const Error& error) {
    if (!broken_) {
      fail_input("{}. {}, or set broken = \"skip\"", error.what(), reader_.advice);
    }
    note_broken(index);
    return substitute(index, error.what());
  }
}

std::vector<std::string> ReadableImages::notes() const {
  std::vector<std::string> broken;
  for (int64_t i = 0; broken_ && i < reader_.size; ++i) {
    if (is_broken(i)) {
      broken.push_back(reader_.name(i));
    }
  }
  if (broken.empty()) {
    return {};
  }
  return {fmt::format(
      "{} {} that could not be read so far, in whose place others with their label are taken: {}",
      broken.size(), broken.size() == 1 ? "image" : "images", some_of(broken))};
}

std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t most = 5;
  const std::vector<std::string> first(
      names.begin(), names.begin() + static_cast<long>(std::min(most, names.size())));
  const std::string text = fmt::format("\"{}\"", fmt::join(first, "\", \""));
  return names.size() > most ? fmt::format("{} and {} more", text, names.size() - most) : text;
}

}  // namespace bissl
