#include "sweep/ablation_fields.h"

#include "base/spelling.h"
#include "pipeline/metric_name.h"
#include "pipeline/toml_parser.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {

void AblationFields::walk(const ConfigNode& node, const IsValue& is_value, const Take& take,
                          const std::string& prefix) {
  for (const ConfigEntry& entry : node.entries) {
    // A key in quotation marks that holds dots is a path of its own, but for the name of a stage
    // or a data source in its table.
    const bool is_name = prefix == "stage" || prefix == "data";
    const std::string own = is_name ? spelled_key(entry.key) : entry.key;
    const std::string key = prefix.empty() ? own : prefix + "." + own;
    if (entry.value.is_table() && !is_value(key, entry.value)) {
      walk(entry.value, is_value, take, key);
    } else if (parse_toml_key(key).empty()) {
      diagnostics_.error(entry.key_at, key, "this is not a key of a pipeline",
                         "a dotted key, such as \"stage.bissl.lambda\"");
    } else {
      take(KeyValue{key, entry.key_at, entry.value});
    }
  }
}

std::optional<bool> wants_more(const std::optional<std::string>& goal) {
  return goal ? std::optional(*goal == "max") : std::nullopt;
}

std::string AblationFields::metric(const std::string& text, const Location& at,
                                   const std::string& key) {
  const std::optional<MetricName> name = parse_metric(text);
  if (!name) {
    diagnostics_.error(at, key, fmt::format("{} is not a metric", to_toml(Value(shortened(text)))),
                       metric_form);
    return text;
  }
  return name->text();
}

void AblationFields::claim_key(const KeyValue& setting, const std::string& path) {
  if (!varied_.insert(parse_toml_key(setting.key)).second) {
    diagnostics_.error(setting.at, path, "this key is varied twice");
  }
  if (setting.key == "name" || setting.key == "include") {
    diagnostics_.error(setting.at, path, "this key cannot be varied");
  }
}

bool AblationFields::is_varied(const std::string& key) const {
  return varied_.count(parse_toml_key(key)) != 0;
}

bool is_no_table(const std::string& /*key*/, const ConfigNode& value) { return !value.is_table(); }

}  // namespace bissl::host
