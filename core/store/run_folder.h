#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace bissl::host {

struct RunResults;

/// The folder of one run, for people: links to its stages in the store, what was run, what came
/// out. Everything is replaced atomically when the run is repeated. What the program did not put
/// there is left alone: if something other than a link has a stage's name, that is Error(run).
class RunFolder {
 public:
  /// Makes <parent>/<name>. A name that is empty, hidden or holds a slash is Error(input).
  RunFolder(const std::filesystem::path& parent, const std::string& name);

  const std::filesystem::path& path() const { return path_; }

  /// For a run whose pipeline was edited: removes the links into a store and the parts of
  /// results.json that are not of these stages (keys by name), so that what an earlier version left
  /// does not pass for a result of this one.
  void keep_only(const std::map<std::string, std::string>& stages) const;

  /// Removes from a run's folder all that this class writes, profiles of stages, and the folder if
  /// nothing else is in it.
  static void clear(const std::filesystem::path& folder);

  /// Makes or replaces the link <run>/<stage>, which leads to `target` by a relative path, so that
  /// the two can be moved together. `target` need not exist yet. The name is checked like the
  /// run's.
  void link_stage(const std::string& stage, const std::filesystem::path& target) const;

  /// pipeline.lock.toml: everything resolved.
  void write_lock(std::string_view toml) const;
  /// results.json, indented.
  void write_results(const RunResults& results) const;

 private:
  std::filesystem::path path_;
};

/// Why the link to a stage cannot be made in a run's folder, which need not exist; empty if it can.
std::string link_problem(const std::filesystem::path& run, const std::string& stage);

}  // namespace bissl::host
