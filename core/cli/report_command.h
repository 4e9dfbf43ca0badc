#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace bissl::host {

struct ReportArguments {
  std::vector<std::filesystem::path> folders;
  std::string metric;                 ///< to compare by; empty: what the sweep names
  std::vector<std::string> baseline;  ///< "AXIS=LABEL"
  std::filesystem::path to;           ///< where the files go; empty: the folder, if it is one
  bool json = false;
  bool follow = false;   ///< write again whenever the runs have changed, until interrupted
  bool advises = false;  ///< the verdict says, too, which arm to use (compare_advice)
};

/// `bissl report DIR…`: prints tables and writes report.html and its companions.
int run_report(const ReportArguments& arguments, std::ostream& out, std::ostream& err);

/// `bissl diff A B`.
int run_diff(const std::filesystem::path& left, const std::filesystem::path& right, bool json,
             std::ostream& out);

}  // namespace bissl::host
