#include "base/spelling.h"
#include "pipeline/table_reader.h"
#include "sweep/ablation_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace bissl::host {
namespace {

/// Says so if the node is two numbers of which the first is the greater one; else empty.
std::string wrong_order(const ConfigNode& node) {
  std::optional<Value> value = to_value(node);
  if (!value || !convert(*value, ValueType::floats)) {
    return "";
  }
  const auto& ends = std::get<std::vector<double>>(*value);
  return ends.size() == 2 && ends[0] > ends[1]
             ? fmt::format("the bounds {} are in the wrong order: the smaller number comes first",
                           to_toml(ends))
             : "";
}

/// Reads one table [search].
class SearchReader {
 public:
  SearchReader(const ConfigNode& search, const SearchOptions& options, AblationFields& fields)
      : search_(search), options_(options), fields_(fields), diagnostics_(fields.diagnostics()) {}

  SearchSpec read() {
    spec_.draws = options_.draws;
    spec_.seed = static_cast<uint64_t>(options_.seed);
    spec_.per_seed = options_.per_seed;
    take_selection();
    const ConfigEntry* final = search_.find("final");
    if (final != nullptr && final->value.is_table()) {
      fields_.walk(final->value, is_no_table,
                   [&](KeyValue setting) { spec_.final.push_back(std::move(setting)); });
    }
    read_distributions();
    return std::move(spec_);
  }

 private:
  void take_selection();
  void read_distributions();
  void read_distribution(const KeyValue& setting);
  bool read_bounds(const ConfigEntry& entry, Distribution& distribution) const;

  const ConfigNode& search_;
  const SearchOptions& options_;
  AblationFields& fields_;
  DiagnosticCollector& diagnostics_;
  SearchSpec spec_;
};

void SearchReader::take_selection() {
  if (!options_.select.empty()) {
    spec_.select_at = search_.find("select")->value.at;
    spec_.select = fields_.metric(options_.select, spec_.select_at, "search.select");
    spec_.maximise = wants_more(options_.goal);
  }
}

void SearchReader::read_distributions() {
  const std::vector<std::string> own = keys_of(search_spec());
  ConfigNode keys = search_;
  std::erase_if(keys.entries, [&](const ConfigEntry& entry) {
    return std::find(own.begin(), own.end(), entry.key) != own.end();
  });
  const auto is_distribution = [](const std::string& /*key*/, const ConfigNode& value) {
    return value.find("uniform") != nullptr || value.find("log_uniform") != nullptr ||
           value.find("choice") != nullptr;
  };
  fields_.walk(keys, is_distribution, [&](const KeyValue& setting) {
    fields_.claim_key(setting, "search." + spelled_key(setting.key));
    read_distribution(setting);
  });
  if (keys.entries.empty()) {
    diagnostics_.missing(search_.at, "search", "there is nothing to draw",
                         "a key with { uniform = [a, b] }, { log_uniform = [a, b] } or "
                         "{ choice = […] }");
  }
}

/// [a, b] with a < b, both more than 0 where logarithms are taken.
bool SearchReader::read_bounds(const ConfigEntry& entry, Distribution& distribution) const {
  const std::optional<Value> bounds = to_value(entry.value);
  std::vector<double> ends;
  if (bounds && type_of(*bounds) == ValueType::floats) {
    ends = std::get<std::vector<double>>(*bounds);
  } else if (bounds && type_of(*bounds) == ValueType::integers) {
    const auto& integers = std::get<std::vector<int64_t>>(*bounds);
    ends.assign(integers.begin(), integers.end());
  }
  const bool logarithmic = entry.key == "log_uniform";
  const bool finite =
      std::all_of(ends.begin(), ends.end(), [](double x) { return std::isfinite(x); });
  if ((!logarithmic && entry.key != "uniform") || ends.size() != 2 || !finite ||
      !(ends[0] < ends[1]) || (logarithmic && ends[0] <= 0)) {
    return false;
  }
  distribution.kind = logarithmic ? Distribution::Kind::log_uniform : Distribution::Kind::uniform;
  distribution.low = ends[0];
  distribution.high = ends[1];
  return true;
}

void SearchReader::read_distribution(const KeyValue& setting) {
  const bool one = setting.value.is_table() && setting.value.entries.size() == 1;
  const ConfigEntry* entry = one ? &setting.value.entries.front() : nullptr;
  DrawnKey drawn{setting.key, setting.at, {}};
  bool valid = entry != nullptr && entry->value.type == ConfigNode::Type::array &&
               !entry->value.items.empty();
  if (valid && entry->key == "choice") {
    drawn.distribution.kind = Distribution::Kind::choice;
    drawn.distribution.choices = entry->value.items;
  } else if (valid) {
    valid = read_bounds(*entry, drawn.distribution);
  }
  if (!valid) {
    const ConfigNode& given = one ? entry->value : setting.value;
    const std::string fault = wrong_order(given);
    diagnostics_.error(
        given.at, "search." + spelled_key(setting.key),
        fault.empty() ? describe_given(given) : fault,
        "{ uniform = [a, b] }, { log_uniform = [a, b] } with 0 < a < b, or { choice = […] }");
    return;
  }
  spec_.keys.push_back(std::move(drawn));
}

}  // namespace

SearchSpec read_search(const ConfigNode& search, const SearchOptions& options,
                       AblationFields& fields) {
  return SearchReader(search, options, fields).read();
}

}  // namespace bissl::host
