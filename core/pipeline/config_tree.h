#pragma once

#include "bissl/value.h"
#include "pipeline/diagnostics.h"

#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

struct ConfigEntry;

/// A key that is to be taken away from what lies below: a parsed entry of `unset` or of --unset.
struct UnsetKey {
  std::vector<std::string> keys;  ///< its path from the table that holds this
  Location at;
  bool found = false;  ///< there was such a key
};

/// What a TOML file says, free of the parser's types, with the place of everything in it.
struct ConfigNode {
  enum class Type { table, array, boolean, integer, real, text, date };

  Type type = Type::table;
  Location at;
  Value scalar;                      ///< of a boolean, integer, real or text
  std::vector<ConfigNode> items;     ///< of an array
  std::vector<ConfigEntry> entries;  ///< of a table, in the order of the file
  std::string spelled;               ///< of an override's scalar that is no text: as it was written
  std::vector<UnsetKey> unset;       ///< of the root and of a stage's table

  bool is_table() const { return type == Type::table; }

  /// The entry of a table, or null; null also if this is no table.
  const ConfigEntry* find(const std::string& key) const;
  ConfigEntry* find(const std::string& key);
  /// The item of an array of tables that a key means ("0" is the first), or null.
  const ConfigNode* item(const std::string& key) const;
  ConfigNode* item(const std::string& key);
  /// Follows keys through tables: find_path("lower.data"). Keys that contain dots are out of reach.
  const ConfigEntry* find_path(const std::string& dotted) const;
  /// The text that this is, or that it was written as on the command line, where a text needs no
  /// quotes: `--set name=42`. Null for anything else.
  const std::string* as_text() const;
  /// as_text of the entry; null if it is absent.
  const std::string* text(const std::string& key) const;
  /// Adds an entry or replaces the one of that key.
  ConfigEntry& set(ConfigEntry entry);
  bool erase(const std::string& key);
  /// Erases the entry at a path of keys, of which numbers mean items of arrays of tables; an item
  /// if the last one does. Whether it was there.
  bool erase_path(const std::vector<std::string>& keys);
};

struct ConfigEntry {
  std::string key;
  Location key_at;
  ConfigNode value;
  /// Which of the tables that were laid over each other gave it: later ones have higher numbers.
  int layer = 0;
};

/// The node and all below it.
size_t node_count(const ConfigNode& node);

/// The node as a parameter's value: a scalar, or a list of scalars of one kind (integers among
/// reals become reals; an empty list is one of integers). Nothing for anything else.
std::optional<Value> to_value(const ConfigNode& node);

/// Erases from `table` what the keys name that lie below its entry `below` (empty: all of them),
/// and notes which were found. Numbers count the items that are there before anything is erased.
void take_away(ConfigNode& table, std::vector<UnsetKey>& unset, const std::string& below = "");

/// What was given, for errors, in TOML's words: "\"many\" is a string", "a table was given".
std::string describe_given(const ConfigNode& node);

/// Keys of `[data.NAME]` that are the host's and survive a change of its `use`.
struct MergeRules {
  std::vector<std::string> data_keys;
};

/// Lays `over` on `base`: tables merge, everything else is replaced, but for an array of tables
/// under a table whose keys are numbers of its items: those merge. Where both tables have a
/// `use` and the two differ, the base's entries are dropped first: they belong to another
/// component. "sgd" and "library/sgd" do not differ. `base` and `over` are tables.
///
/// What `over` takes away (its `unset`, and that of its tables) goes before its entries are laid.
/// The entries of `over` get layers above all of the base's.
void merge(ConfigNode& base, ConfigNode over);

/// merge for whole pipelines, with the exception that the rules make.
void merge_pipeline(ConfigNode& base, ConfigNode over, const MergeRules& rules);

/// Makes all entries one layer: none of them overrules another.
void flatten_layers(ConfigNode& node);

}  // namespace bissl::host
