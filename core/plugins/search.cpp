#include "plugins/search.h"

#include "bissl/hash.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>

namespace bissl::host {

namespace fs = std::filesystem;

fs::path user_plugin_folder() {
  const auto folder_in = [](const char* variable) -> fs::path {
    const char* value = std::getenv(variable);
    // A relative path would depend on the current directory (XDG's rule, too).
    return value != nullptr && fs::path(value).is_absolute() ? fs::path(value) : fs::path();
  };
  if (const fs::path data = folder_in("XDG_DATA_HOME"); !data.empty()) {
    return data / "bissl/plugins";
  }
  const fs::path home = folder_in("HOME");
  return home.empty() ? fs::path() : home / ".local/share/bissl/plugins";
}

void PluginSearch::begin() {
  if (!third_party_) {
    return;
  }
  for (const std::string& folder : named_) {
    registry_.load_folder(folder, /*trusted=*/false, /*must_exist=*/true);
  }
  const char* path = std::getenv("BISSL_PLUGIN_PATH");
  std::string rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::string folder = rest.substr(0, colon);
    if (!folder.empty()) {  // unlike in PATH, an empty entry is not the current directory
      registry_.load_folder(folder, /*trusted=*/false, /*must_exist=*/true);
    }
    rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
  }
}

void PluginSearch::add_pipeline_folder(const fs::path& folder) {
  if (third_party_) {
    registry_.load_folder(folder, /*trusted=*/false, /*must_exist=*/true);
  }
}

/// Containers may share the folder of records and have different programs at the same path.
fs::path PluginSearch::record_of(const fs::path& folder) const {
  const std::optional<FileStamp> stamp = stamp_of_file(folder.string());
  if (records_.empty() || !stamp) {
    return {};
  }
  return records_ / hash_hex(fmt::format("{} {} {}", folder.string(), stamp->device, stamp->inode));
}

std::vector<LoadProblem> PluginSearch::finish() {
  if (finished_) {
    return {};
  }
  finished_ = true;
  const std::vector<LoadProblem>& all = registry_.report().problems;
  const auto before = static_cast<std::ptrdiff_t>(all.size());
  if (const fs::path user = user_plugin_folder(); third_party_ && !user.empty()) {
    registry_.load_folder(user, /*trusted=*/false, /*must_exist=*/false);
  }
  const fs::path own = installed_plugin_folder();
  registry_.load_own_folder(own, record_of(own));
  return {all.begin() + before, all.end()};
}

}  // namespace bissl::host
