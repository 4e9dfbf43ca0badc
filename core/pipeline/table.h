#pragma once

#include "bissl/parameters.h"
#include "bissl/plugin.h"
#include "plugins/component.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bissl {

struct SubtableSpec;

/// A key that holds a component: `optimizer = { use = "sgd", lr = 0.1 }`.
struct ComponentSlot {
  std::string name;
  ComponentKind kind;
  bool required = true;
  std::string doc;
};

/// What may stand in one of the host's own tables. Stages, data sources and schedules declare
/// theirs with the same Schema that components use for their options.
struct TableSpec {
  std::vector<ParameterSpec> parameters;
  std::vector<ComponentSlot> components;
  std::vector<SubtableSpec> tables;
  /// Groups of parameters of which one is to be given. Where tables are laid over each other, a key
  /// of the upper one overrules the others of its group below it.
  std::vector<std::vector<std::string>> exclusive;
  /// Rules over valid values.
  std::function<std::vector<Finding>(const ParameterValues&)> check;
  /// What may stand in it beside what is declared, in words; empty: nothing. It is not looked into.
  std::string free_keys;
};

struct SubtableSpec {
  std::string name;
  TableSpec table;
  bool required = true;
  std::string doc;
  bool list = false;            ///< [[name]]: an array of such tables, whose form alone is checked
  bool execution_only = false;  ///< nothing in it changes the results of what it stands in
};

/// A checked table: every parameter present, every component found and its values checked.
struct Table {
  ParameterValues values;
  std::map<std::string, ComponentChoice> components;
  std::map<std::string, Table> tables;
  std::string origin;  ///< "file.toml:12:1"
  /// Which of the values name data sources, and which of the values and tables change no result.
  std::set<std::string> data_keys;
  std::set<std::string> execution_only;

  bool has_component(const std::string& name) const { return components.count(name) != 0; }
  bool has_table(const std::string& name) const { return tables.count(name) != 0; }
  const ComponentChoice& component(const std::string& name) const { return components.at(name); }
  const Table& table(const std::string& name) const { return tables.at(name); }
};

/// All data sources that the table and those in it name, in the order of keys; the table's own come
/// first. A source may occur several times.
std::vector<std::string> data_names(const Table& table);

}  // namespace bissl
