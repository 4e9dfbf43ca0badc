#include "pipeline/metric_name.h"

#include "base/spelling.h"
#include "pipeline/diagnostics.h"
#include "pipeline/toml_parser.h"

#include <vector>

namespace bissl::host {

std::string score_text(const std::string& data, const std::string& metric) {
  return spelled_key(data) + "." + spelled_key(metric);
}

std::string MetricName::text() const { return spelled_key(stage) + "." + score_text(data, metric); }

std::optional<MetricName> parse_metric(const std::string& text) {
  std::vector<std::string> parts = parse_toml_key(text);
  if (parts.size() != 3) {
    return std::nullopt;
  }
  return MetricName{std::move(parts[0]), std::move(parts[1]), std::move(parts[2])};
}

}  // namespace bissl::host
