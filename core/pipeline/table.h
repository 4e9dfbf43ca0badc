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

namespace bissl::host {

struct SubtableSpec;

/// A key that holds a component: `optimizer = { use = "sgd", lr = 0.1 }`.
struct ComponentSlot {
  std::string name;
  ComponentKind kind;
  bool required = true;
  std::string doc;
};

/// The key `augment`, for what makes views of images: an augmentation ({ use = "simclr" }), or a
/// chain of transforms ([ { use = "resized-crop" }, { use = "flip" } ]). Where a sample has several
/// views, the key `views` may be given instead: an array of groups, each with `count` and
/// `augment`.
struct AugmentSlot {
  bool several_views = false;
  std::string doc;
};

/// What one of the host's own tables may hold. Stages, data sources and schedules declare
/// theirs with the same Schema that components use for their options.
struct TableSpec {
  std::vector<ParameterSpec> parameters;
  std::vector<ComponentSlot> components;
  std::vector<SubtableSpec> tables;
  std::optional<AugmentSlot> augment;  ///< required where it is declared
  /// Groups of parameters of which one is to be given. Where tables are laid over each other, a key
  /// of the upper one overrules the others of its group below it.
  std::vector<std::vector<std::string>> exclusive;
  /// Keys of earlier versions that were no parameters (ParameterBuilder::formerly), and what each
  /// is called now: for the error that they get.
  std::map<std::string, std::string> renamed;
  /// Rules over valid values.
  std::function<std::vector<Finding>(const ParameterValues&)> check;
  /// What it may hold beside what is declared, in words; empty: nothing. It is not checked.
  std::string free_keys;
};

struct SubtableSpec {
  std::string name;
  TableSpec table;
  bool required = true;
  std::string doc = {};
  /// [[name]]: an array of such tables. Where they have free_keys, their form alone is checked.
  bool list = false;
  bool or_list = false;         ///< `name` may be a table or an array of such tables
  bool execution_only = false;  ///< nothing in it changes the results of the table around it
  /// A kind of stage: what is missing in the subtable is taken from the table of the nearest
  /// ancestor of that kind, but for parameters that are marked `own_meaning`. Empty for none.
  std::string inherits_from = {};
};

/// The mark (ParameterSpec::traits) of a parameter that shares a name with one of the table that
/// its own table inherits from, but not its meaning.
inline constexpr const char* own_meaning = "own_meaning";

/// The mark (ParameterSpec::traits) of a parameter whose default is as good as its absence: at that
/// value it is no part of a key, so that tables from before there was such a parameter keep theirs.
inline constexpr const char* default_is_absence = "default_is_absence";

/// What makes a view.
struct AugmentChoice {
  std::vector<ComponentChoice> steps;  ///< the augmentation, or the transforms of a chain
  bool is_chain = false;
};

/// Views of a sample that are made alike.
struct ViewGroup {
  int64_t count = 1;
  AugmentChoice augment;
};

/// What a table says of the views of a sample, in their order.
struct ViewsChoice {
  std::vector<ViewGroup> groups;
  bool declares_number = false;  ///< by `views`; otherwise one group makes as many as are needed
  std::string origin;            ///< "file.toml:12:9"

  /// The number of views that are declared; none where any number can be made.
  std::optional<int64_t> count() const;
  /// For errors: "augment (file.toml:12:11)".
  std::string describe() const;
};

/// A checked table: every parameter present, every component found and its values checked.
struct Table {
  ParameterValues values;
  std::map<std::string, ComponentChoice> components;
  std::map<std::string, Table> tables;
  /// Arrays of tables, in the order of the file. A name of SubtableSpec::or_list is here or in
  /// `tables`.
  std::map<std::string, std::vector<Table>> lists;
  std::optional<ViewsChoice> views;  ///< where the specification has an AugmentSlot
  std::string origin;                ///< "file.toml:12:1"
  /// Which of the values name data sources, and which of the values and tables change no result.
  std::set<std::string> data_keys;
  std::set<std::string> execution_only;
  /// The values that are as good as absence (default_is_absence), by their parameters.
  ParameterValues absences;

  bool has_table(const std::string& name) const { return tables.count(name) != 0; }
  const ComponentChoice& component(const std::string& name) const { return components.at(name); }
  const Table& table(const std::string& name) const { return tables.at(name); }
  const ViewsChoice& augment() const { return views.value(); }
};

/// All data sources that the table and those in it name, in the order of keys; the table's own come
/// first. A source may occur several times.
std::vector<std::string> data_names(const Table& table);

}  // namespace bissl::host
