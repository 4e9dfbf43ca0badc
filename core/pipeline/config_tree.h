#pragma once

#include "bissl/value.h"
#include "pipeline/diagnostics.h"

#include <optional>
#include <string>
#include <vector>

namespace bissl {

struct ConfigEntry;

/// What a TOML file says, free of the parser's types, with the place of everything in it.
struct ConfigNode {
  enum class Type { table, array, boolean, integer, real, text, date };

  Type type = Type::table;
  Location at;
  Value scalar;                      ///< of a boolean, integer, real or text
  std::vector<ConfigNode> items;     ///< of an array
  std::vector<ConfigEntry> entries;  ///< of a table, in the order of the file

  bool is_table() const { return type == Type::table; }

  /// The entry of a table, or null; null also if this is no table.
  const ConfigEntry* find(const std::string& key) const;
  ConfigEntry* find(const std::string& key);
  /// Follows keys through tables: find_path("lower.data"). Keys that contain dots are out of reach.
  const ConfigEntry* find_path(const std::string& dotted) const;
  /// The entry's text, or null if it is absent or not a text.
  const std::string* text(const std::string& key) const;
  /// Adds an entry or replaces the one of that key.
  ConfigEntry& set(ConfigEntry entry);
  void erase(const std::string& key);
};

struct ConfigEntry {
  std::string key;
  Location key_at;
  ConfigNode value;
};

/// The node and all below it.
size_t node_count(const ConfigNode& node);

/// The node as a parameter's value: a scalar, or a list of scalars of one kind (integers among
/// reals become reals; an empty list is one of integers). Nothing for anything else.
std::optional<Value> to_value(const ConfigNode& node);

/// What was given, for errors: "\"many\" is a text", "a table", "a list of mixed types".
std::string describe_given(const ConfigNode& node);

/// Keys of `[data.NAME]` that are the host's and survive a change of its `use`.
struct MergeRules {
  std::vector<std::string> data_keys;
};

/// Lays `over` on `base`: tables merge, everything else is replaced. Where both tables have a
/// `use` and the two differ, the base's entries are dropped first: they belong to another
/// component. "sgd" and "library/sgd" do not differ. `base` and `over` are tables.
void merge(ConfigNode& base, ConfigNode over);

/// merge for whole pipelines, with the exception that the rules make.
void merge_pipeline(ConfigNode& base, ConfigNode over, const MergeRules& rules);

}  // namespace bissl
