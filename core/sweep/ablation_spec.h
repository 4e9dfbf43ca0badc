#pragma once

#include "pipeline/table.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// The most values of an axis, and the most draws of a search.
inline constexpr int64_t most_choices = 10000;

/// What an ablation file says beside its tables of pipeline keys.
struct AblationOptions {
  std::optional<std::string> name;
  std::string pipeline;
  std::vector<std::string> metric;
  std::optional<std::string> reference;
  std::optional<std::string> goal;
  std::vector<std::string> stages;
  std::optional<std::string> tasks;
  std::vector<std::string> include;
  std::vector<std::string> unset;
};

/// The same of a table `[[zip]]`.
struct ZipOptions {
  std::optional<std::string> name;
  std::vector<std::string> labels;
};

/// The same of `[search]`.
struct SearchOptions {
  int64_t draws = 1;
  int64_t seed = 0;
  std::string select;
  std::optional<std::string> goal;
  bool per_seed = true;
};

/// What an ablation file may hold. For the reader, `bissl describe sweep` and the JSON Schema.
const TableSpec& ablation_spec();
/// That of its table `[search]`.
const TableSpec& search_spec();

/// The values of a table that was read by ablation_spec, which may have faults: what is missing is
/// empty.
AblationOptions parse_ablation(const Table& table);
SearchOptions parse_search(const Table& table);

}  // namespace bissl::host
