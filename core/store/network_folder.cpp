#include "store/network_folder.h"

#include <algorithm>
#include <string_view>
#include <system_error>

namespace bissl::host {
namespace {

constexpr std::string_view today = "repeat-";
constexpr std::string_view earlier = "run-";

}  // namespace

std::filesystem::path network_folder(const std::filesystem::path& stage, const std::string& name) {
  std::error_code ignored;
  if (name.starts_with(today) && !std::filesystem::exists(stage / name, ignored)) {
    const auto before = stage / (std::string(earlier) + name.substr(today.size()));
    if (std::filesystem::exists(before, ignored)) {
      return before;
    }
  }
  return stage / name;
}

bool is_network_folder(const std::string& name) {
  for (const std::string_view begin : {today, earlier}) {
    if (name.size() > begin.size() && name.starts_with(begin) &&
        std::all_of(name.begin() + static_cast<long>(begin.size()), name.end(),
                    [](char c) { return c >= '0' && c <= '9'; })) {
      return true;
    }
  }
  return false;
}

}  // namespace bissl::host
