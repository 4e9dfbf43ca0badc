#pragma once

#include "base/spelling.h"
#include "pipeline/config_tree.h"
#include "pipeline/pipeline.h"

#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// A stage on its way from the file to the pipeline.
struct StageDraft {
  std::string name;
  Location at;                          ///< of its key
  ConfigNode table;                     ///< `like` is laid under it, what it inherits filled in
  const StageKindSpec* kind = nullptr;  ///< null if it is not known
  std::string from;                     ///< empty for none
  /// Something that its table would get from elsewhere is not known.
  bool incomplete = false;
};

/// The mark (ParameterSpec::traits) of a parameter of a kind of stage that names stages whose
/// weights it reads beside its parent's. They come before it; "scratch" is none of them. A kind
/// with such a parameter hands on nothing, so that stages cannot need each other in a circle.
inline constexpr const char* names_stages = "names_stages";

/// The stages that a checked table names in such parameters, in the order of the keys.
std::vector<std::string> named_stages(const TableSpec& spec, const ParameterValues& values);

/// Resolves what stages of a file have to do with each other: `like`, `kind`, `from`, the order,
/// and inheritance. Knows the shape of tables, not what is in them.
class StageGraph {
 public:
  /// What `from` says of a stage that begins with random weights.
  static constexpr const char* scratch = "scratch";

  /// The kinds must outlive the drafts.
  StageGraph(const std::vector<StageKindSpec>& kinds, DiagnosticCollector& diagnostics)
      : kinds_(kinds), diagnostics_(diagnostics) {}

  /// The stages of the table `[stage]`, parents first and otherwise in the order of the file.
  std::vector<StageDraft> resolve(const ConfigNode& stages);

 private:
  /// A key that names a stage, though not one whose weights are taken.
  static constexpr const char* matched_key = "match.stage";

  void collect(const ConfigNode& stages);
  void resolve_like();
  /// All stages, each behind those that it depends on.
  std::vector<size_t> in_order();
  /// Adds the links of `match` to those of `from`; reports what is none, and circles.
  void link_matched(std::vector<std::vector<size_t>>& links);
  void inherit(StageDraft& draft);
  void inherit(StageDraft& draft, const SubtableSpec& spec);
  /// Counts a copy of `table` for the draft; false, with a report, if the copies get out of hand.
  bool afford_copy(const ConfigNode& table, StageDraft& draft);

  // In stage_references.cpp: they report what they refuse.
  void read_kind(StageDraft& draft);
  void read_from(StageDraft& draft);
  void check_parent(StageDraft& draft, const ConfigNode& from);
  /// The stages that a draft's parameters name; reports those that are none or hand on too little.
  std::vector<size_t> read_named(const StageDraft& draft);
  /// The stage that a key names; reports a name that is not one.
  const size_t* find_stage(const StageDraft& draft, const ConfigNode& name, const std::string& key);
  /// What a stage of that kind can continue.
  std::vector<std::string> possible_parents(const StageKindSpec* kind) const;
  void report_circles(const std::vector<std::vector<size_t>>& circles, const std::string& key,
                      const std::string& message);
  void report_unset_keys();
  static std::string quoted(const std::string& text) { return to_toml(Value(shortened(text))); }
  std::string path(const StageDraft& draft) const { return joined_key("stage", draft.name); }

  const std::vector<StageKindSpec>& kinds_;
  DiagnosticCollector& diagnostics_;
  std::vector<StageDraft> drafts_;
  std::map<std::string, size_t> index_;
  size_t copied_nodes_ = 0;
};

}  // namespace bissl::host
