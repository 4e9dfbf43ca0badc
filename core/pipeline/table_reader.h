#pragma once

#include "pipeline/component_source.h"
#include "pipeline/config_tree.h"
#include "pipeline/table.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// The mark (ParameterSpec::traits) of a number of the host's tables in whose place the text "auto"
/// may be given; the value is then that text, and what reads it chooses the number.
inline constexpr const char* takes_auto = "takes_auto";
inline constexpr const char* auto_value = "auto";

/// Checks parts of a configuration tree against what the host and the components declare. Every
/// fault is reported; what is returned then has holes (unset values, missing components) and
/// serves only for finding more faults.
///
/// What is about tables of components is in component_tables.cpp, the host's keys beside those of a
/// component in host_keys.cpp, `augment` and `views` in views_reader.cpp.
class TableReader {
 public:
  TableReader(const ComponentSource& components, DiagnosticCollector& diagnostics)
      : components_(&components), diagnostics_(diagnostics) {}
  /// For tables that hold no components.
  explicit TableReader(DiagnosticCollector& diagnostics) : diagnostics_(diagnostics) {}

  /// `node` is a table; `path` its dotted key. It may also have `host_keys`, which are not read.
  Table read_table(const ConfigNode& node, const TableSpec& spec, const std::string& path,
                   const std::vector<std::string>& host_keys = {});

  /// What the specification declares, without asking whether there is more in the table.
  Table read_entries(const ConfigNode& node, const TableSpec& spec, const std::string& path);

  /// A component's table: `use` and the component's parameters. `host_keys` as for read_table; a
  /// parameter of that name comes first. A null component if it cannot be found.
  ComponentChoice read_component(const ConfigNode& node, ComponentKind kind,
                                 const std::string& path,
                                 const std::vector<std::string>& host_keys = {});

  /// The host's own keys beside those of `component`, whose table `node` is: those that are no
  /// parameters of the component, and all in the subtable `host`.
  Table read_host_keys(const ConfigNode& node, const ComponentChoice& component,
                       const TableSpec& spec, const std::string& path);

  /// What a table says of views, by `augment` or `views`.
  ViewsChoice read_views(const ConfigNode& node, const AugmentSlot& slot, const std::string& path);

  /// The value of a parameter, a path made absolute; its default, with a report, for anything else.
  Value read_value(const ConfigNode& node, const ParameterSpec& spec, const std::string& path);

  /// Reports keys of the table that are not among `accepted`: those that are `renamed` with their
  /// new name.
  void refuse_unknown(const ConfigNode& node, const std::string& path,
                      const std::vector<std::string>& accepted,
                      const std::map<std::string, std::string>& renamed = {});

  /// While false, required keys that are not there are no fault: for tables that would get some of
  /// their entries from another table, which could not be found.
  void report_missing(bool report) { report_missing_ = report; }

  /// What parameters that name data sources may name, from now on; `sources` must outlive this.
  void accept_data(const std::vector<std::string>& sources) { data_ = &sources; }
  /// The data sources that were named in what has been read.
  const std::set<std::string>& named_data() const { return named_data_; }

  /// While true, the tables have been written with all defaults, as locks are: that a value stands
  /// there does not mean that somebody gave it, unless it differs from the default.
  void defaults_are_written(bool written) { defaults_are_written_ = written; }

 private:
  using Check = std::function<std::vector<Finding>(const ParameterValues&)>;

  ParameterValues read_values(const ConfigNode& node, const std::vector<ParameterSpec>& specs,
                              const std::string& path);
  /// Reports names of data sources that there are not.
  void check_data(const ConfigNode& node, const ParameterSpec& spec, const std::string& path);
  void read_subtable(const ConfigNode& node, const SubtableSpec& spec, const std::string& path,
                     Table& table);
  std::vector<Table> read_list(const ConfigNode& node, const SubtableSpec& spec,
                               const std::string& path);
  void resolve_paths(Value& value, const Location& at, const std::string& path);
  std::string resolved_path(const std::string& text, const Location& at, const std::string& path);
  /// Rules, and warnings for what is given and has no effect.
  void run_check(const Check& check, const std::vector<ParameterSpec>& specs,
                 const ParameterValues& values, const ConfigNode& node, const std::string& path);
  std::set<std::string> given(const std::vector<ParameterSpec>& specs,
                              const ParameterValues& values, const ConfigNode& node) const;
  /// A dotted key as it is in the file, which may have it in the host's own table.
  std::string key_in_file(const std::string& key) const;
  void missing(const ConfigNode& table, const std::string& path, const std::string& key,
               const std::string& accepted);
  AugmentChoice read_augment(const ConfigNode& node, const std::string& path);
  std::optional<ViewGroup> read_view_group(const ConfigNode& node, const std::string& path);
  bool is_table(const ConfigEntry& entry, const std::string& path, const std::string& accepted);
  std::shared_ptr<const RegisteredComponent> find_component(const ConfigNode& use,
                                                            ComponentKind kind,
                                                            const std::string& path);
  void report_unknown_component(const ConfigNode& use, ComponentKind kind, const std::string& name,
                                const std::string& path);
  std::vector<std::string> names_of(ComponentKind kind, bool qualified) const;

  const ComponentSource* components_ = nullptr;
  DiagnosticCollector& diagnostics_;
  bool report_missing_ = true;
  bool defaults_are_written_ = false;
  std::map<std::string, std::string> keys_in_file_;  ///< of what was read from another table
  const std::vector<std::string>* data_ = nullptr;
  std::set<std::string> named_data_;
};

/// All keys that a table of the specification may have.
std::vector<std::string> keys_of(const TableSpec& spec);

/// How a table is written that names a component of this kind, for errors.
std::string component_example(ComponentKind kind);

/// The former names of parameters (ParameterBuilder::formerly), each with the name of now.
std::map<std::string, std::string> renamed_keys(const std::vector<ParameterSpec>& specs);

/// Which keys of a data source survive a change of its dataset: the host's.
MergeRules merge_rules(const TableSpec& data_selection);

/// The subtable of a component's table in which the host's own keys can always be given. No
/// parameter of a component has this name.
inline constexpr const char* host_subtable = "host";

}  // namespace bissl::host
