#pragma once

#include "store/sweep_folder.h"

#include <cstdint>
#include <filesystem>
#include <string>

namespace bissl::host {

/// How often the stages of a sweep were begun, in files that other processes write, too:
///
///     <folder>/state/<key>.attempts    how often a stage was begun and nobody came back
///     <folder>/state/<key>.end         how the process of the last attempt ended, if that is known
///
/// Plan and folder must outlive it.
class Attempts {
 public:
  Attempts(const SweepPlan& plan, const SweepFolder& files) : plan_(plan), files_(files) {}

  /// Counts an attempt at a stage, under its claim. The count starts again whenever the stage got
  /// further than at the attempt before. Returns the attempts before this one.
  int64_t begin(const std::string& key, const std::filesystem::path& stage_folder);
  void end(const std::string& key);
  /// Notes how a process of this machine ended with the stage that it had begun, for the report of
  /// a failure. Whether it had begun one.
  bool note_end(int64_t process, const std::string& how);
  std::string last_end(const std::string& key) const;

 private:
  const SweepPlan& plan_;
  const SweepFolder& files_;
};

}  // namespace bissl::host
