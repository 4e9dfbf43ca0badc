#pragma once

#include "pipeline/diagnostics.h"
#include "sweep/ablation_spec.h"
#include "sweep/random_search.h"
#include "sweep/settings.h"

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// What the readers of an ablation file's parts have in common: keys of the pipeline with what
/// is done about them, and metrics. Each call reports what is wrong.
class AblationFields {
 public:
  explicit AblationFields(DiagnosticCollector& diagnostics) : diagnostics_(diagnostics) {}

  DiagnosticCollector& diagnostics() { return diagnostics_; }

  /// Calls `take` for what `is_value` accepts and for what is no table, and goes into the rest:
  /// keys with dots and tables in tables say the same.
  using IsValue = std::function<bool(const std::string& key, const ConfigNode& value)>;
  using Take = std::function<void(KeyValue setting)>;
  void walk(const ConfigNode& node, const IsValue& is_value, const Take& take,
            const std::string& prefix = "");

  /// The metric in its plain spelling; reports a text that is none.
  std::string metric(const std::string& text, const Location& at, const std::string& key);

  /// Notes that something varies the key; reports a second time.
  void claim_key(const KeyValue& setting, const std::string& path);
  bool is_varied(const std::string& key) const;

 private:
  DiagnosticCollector& diagnostics_;
  std::set<std::vector<std::string>> varied_;
};

/// Whether a value is no table: what IsValue is for keys with plain values.
bool is_no_table(const std::string& key, const ConfigNode& value);

/// Whether `goal` asks for more of the metric; unset without one.
std::optional<bool> wants_more(const std::optional<std::string>& goal);

/// Reads what `[search]` draws, with what else is in it.
SearchSpec read_search(const ConfigNode& search, const SearchOptions& options,
                       AblationFields& fields);

}  // namespace bissl::host
