#include "sweep/stage_sort.h"

#include "base/json_text.h"
#include "bissl/hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace bissl::host {
namespace {

using nlohmann::json;

/// Whether of the number at this place of a description only matters whether it is 0: learning rate
/// and weight decay of an optimizer. A trial makes its steps with a learning rate of 0, so that
/// neither decides about what it does, and what changes the weight decay over time refuses one of
/// 0. Not in a lower level, where the learning rate is a factor of the pull of λ, which is judged.
bool matters_by_zero(std::string_view place) {
  constexpr std::array<std::string_view, 2> ends = {"/components/optimizer/values/lr",
                                                    "/components/optimizer/values/weight_decay"};
  return place.find("/tables/lower/") == std::string_view::npos &&
         std::any_of(ends.begin(), ends.end(),
                     [&](std::string_view end) { return place.ends_with(end); });
}

/// Moves real numbers from a description to `numbers`. Lengths stay: they change what a stage
/// costs.
void take_reals(json& description, const std::string& place,
                std::map<std::string, double>& numbers) {
  for (auto& [key, value] : description.items()) {
    const std::string here = place + "/" + key;
    if (value.is_structured()) {
      take_reals(value, here, numbers);
    } else if (value.is_number_float() && key.find("epochs") == std::string::npos) {
      numbers[here] = value.get<double>();
      value = nullptr;
    }
  }
}

}  // namespace

StageSort sort_of(json description, Numbers numbers) {
  description.erase("seed");
  description.erase("parent");
  description.erase("compared");
  if (description.contains("match")) {
    description["match"].erase("stage");
  }
  StageSort stage;
  take_reals(description, "", stage.numbers);
  stage.sort = hash_hex(json_text(description));
  std::string text;
  for (auto& [place, number] : stage.numbers) {
    if (numbers == Numbers::by_refusal && matters_by_zero(place)) {
      number = number == 0 ? 0 : 1;
    }
    text += fmt::format("{} = {}\n", place, number);
  }
  stage.variant = hash_hex(text);
  return stage;
}

void NumberEnds::add(const std::string& key, const StageSort& stage) {
  const size_t place = added_++;
  for (const auto& [number, value] : stage.numbers) {
    const End end{value, place, key};
    const auto [known, added] = ranges_.try_emplace(stage.sort + number, Range{end, end});
    if (!added && value < known->second.least.value) {
      known->second.least = end;
    }
    if (!added && value > known->second.greatest.value) {
      known->second.greatest = end;
    }
  }
}

std::set<std::string> NumberEnds::keys(size_t most) const {
  std::map<size_t, std::string> ordered;
  for (const auto& [number, range] : ranges_) {
    if (range.least.value < range.greatest.value) {
      ordered[range.least.place] = range.least.key;
      ordered[range.greatest.place] = range.greatest.key;
    }
  }
  std::set<std::string> keys;
  for (const auto& [place, key] : ordered) {
    if (keys.size() < most) {
      keys.insert(key);
    }
  }
  return keys;
}

}  // namespace bissl::host
