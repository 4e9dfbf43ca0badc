#pragma once

#include <string>
#include <vector>

namespace bissl::host {

/// How the loading of one plugin library ended: a report as data, printed, returned and available
/// as JSON. docs/plugin-boundary.md lists the codes of each step.
struct LoadProblem {
  std::string path;
  std::string step;      ///< "find", "open", "entry", "stamp", "vet", "register"
  std::string code;      ///< machine-readable: "missing", "not_a_library", "no_entry", …
  std::string found;     ///< what was there
  std::string expected;  ///< what should have been
  std::string advice;    ///< what to do

  /// One sentence with all of it.
  std::string message() const;

  bool operator==(const LoadProblem&) const = default;
};

struct LoadReport {
  std::vector<std::string> searched;  ///< folders, in the order of the search
  std::vector<std::string> loaded;    ///< paths of the libraries that were accepted
  std::vector<LoadProblem> problems;  ///< one or more per library that was refused
};

}  // namespace bissl::host
