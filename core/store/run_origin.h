#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace bissl::host {

/// What a folder <out>/<name> is to be used for: which file its results come from.
struct FolderOrigin {
  enum class Kind { run, sweep };

  Kind kind = Kind::run;
  std::filesystem::path out;
  std::string name;
  std::filesystem::path file;  ///< of the pipeline or the ablation
  /// Whether what is in the folder may be taken for results of this file all the same, such as of a
  /// copy of it. Asked only if the file is another one; may be empty.
  std::function<bool()> is_same;
  /// Whether the folder belongs to this file from then on, or still to the first one.
  bool takes_over = false;
};

/// Throws Error(input) if <out>/<name> holds what another file gave, or is a run's folder where a
/// sweep's is wanted or the other way round, or if `out` is the folder of a run or sweep or lies in
/// one. The same file is known by its path, from the root or from the folder, so that it may be
/// edited and both may be moved together. Returns the other file if it was left to `is_same`.
/// Changes nothing.
std::optional<std::string> check_origin(const FolderOrigin& origin);

/// check_origin(), then makes the folder and records the origin in its file `.origin.json`, of
/// several processes at once the first one's.
void claim_origin(const FolderOrigin& origin);

}  // namespace bissl::host
