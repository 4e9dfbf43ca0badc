#pragma once

#include "pipeline/diagnostics.h"
#include "sweep/random_search.h"
#include "sweep/settings.h"

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace bissl {

/// The most values of an axis, and the most draws of a search.
inline constexpr size_t most_choices = 10000;

/// What the readers of an ablation file's parts have in common: each call takes something from a
/// table and reports what is wrong with it.
class AblationFields {
 public:
  explicit AblationFields(DiagnosticCollector& diagnostics) : diagnostics_(diagnostics) {}

  DiagnosticCollector& diagnostics() { return diagnostics_; }

  void refuse_unknown(const ConfigNode& table, const std::string& path,
                      const std::vector<std::string>& known);

  /// The text at a key; null if it is absent or, with a report, no text.
  const std::string* text(const ConfigNode& table, const std::string& path, const std::string& key,
                          const std::string& accepted);

  /// The table at a key; null if it is absent or, with a report, no table.
  const ConfigNode* table(const ConfigNode& root, const std::string& key);

  /// Calls `take` for what `is_value` accepts and for what is no table, and goes into the rest:
  /// keys with dots and tables in tables say the same.
  using IsValue = std::function<bool(const std::string& key, const ConfigNode& value)>;
  using Take = std::function<void(KeyValue setting)>;
  void walk(const ConfigNode& node, const IsValue& is_value, const Take& take,
            const std::string& prefix = "");

  /// Whether more of the metric is better: as `goal` says, or more of all but a loss.
  bool goal(const ConfigNode& table, const std::string& path, const std::string& metric);

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

/// Reads `[search]`.
SearchSpec read_search(const ConfigNode& search, AblationFields& fields);

}  // namespace bissl
