#include "idx_files.h"

#include "layout_search.h"

#include "bissl/error.h"

#include <fmt/ranges.h>

#include <system_error>
#include <vector>

namespace bissl {
namespace {

std::filesystem::path find(const std::filesystem::path& folder, const std::string& start,
                           const std::string& end, const std::string& advice) {
  const std::vector<std::string> names{start + "-" + end + ".gz", start + "-" + end,
                                       start + "." + end + ".gz", start + "." + end};
  std::string problem;
  for (const std::string& name : names) {
    std::error_code error;
    const auto status = std::filesystem::status(folder / name, error);
    if (std::filesystem::is_regular_file(status)) {
      return folder / name;
    }
    if (std::filesystem::exists(status) && problem.empty()) {
      problem = fmt::format(" ({} is there, but is not a file)", name);
    } else if (error && status.type() != std::filesystem::file_type::not_found) {
      problem = fmt::format(" ({})", error.message());
    }
  }
  std::string elsewhere;
  for (size_t i = 0; i < names.size() && elsewhere.empty(); ++i) {
    elsewhere = place_near({.dataset = start, .tops = {}, .mark = names[i], .tree = {}}, folder);
  }
  fail_input(
      "{}: no {} file{}; looked for {}. {}", folder.string(), start, problem,
      fmt::join(names, ", "),
      elsewhere.empty() ? advice : fmt::format("It is in {}: set `root` to that", elsewhere));
}

}  // namespace

IdxFiles find_idx_files(const std::filesystem::path& folder, const std::string& prefix,
                        const std::string& advice) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    fail_input("{}: {}. {}", folder.string(),
               std::filesystem::exists(folder, error) ? "is not a folder" : "no such folder",
               advice);
  }
  return {find(folder, prefix + "-images", "idx3-ubyte", advice),
          find(folder, prefix + "-labels", "idx1-ubyte", advice)};
}

}  // namespace bissl
