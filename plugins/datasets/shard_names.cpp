#include "shard_names.h"

#include "layout.h"
#include "text_lines.h"

#include "bissl/error.h"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

namespace bissl {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_names = 1'000'000;

/// The texts that the text between two braces names.
std::vector<std::string> alternatives(std::string_view inside, const std::string& pattern) {
  const size_t dots = inside.find("..");
  std::vector<std::string> texts;
  if (dots == std::string_view::npos) {
    while (true) {
      const size_t comma = inside.find(',');
      texts.emplace_back(inside.substr(0, comma));
      if (comma == std::string_view::npos) {
        return texts;
      }
      inside.remove_prefix(comma + 1);
    }
  }
  const std::string_view first = inside.substr(0, dots);
  const std::string_view last = inside.substr(dots + 2);
  int64_t from = 0;
  int64_t to = 0;
  if (!parse_number(first, from) || !parse_number(last, to) || from < 0 || to < from ||
      to - from >= static_cast<int64_t>(most_names)) {
    fail_input(
        "{}: {{{}}} is no range; expected two whole numbers, the smaller one first, as in "
        "{{000..127}}",
        pattern, inside);
  }
  const size_t digits = std::min(first.size(), last.size());
  for (int64_t number = from; number <= to; ++number) {
    texts.push_back(fmt::format("{:0{}}", number, digits));
  }
  return texts;
}

/// The longest folder that holds all paths.
fs::path common_folder(const std::vector<fs::path>& paths) {
  fs::path common = paths.front().parent_path();
  for (const fs::path& path : paths) {
    const fs::path folder = path.parent_path();
    fs::path shared;
    auto left = common.begin();
    for (auto right = folder.begin();
         left != common.end() && right != folder.end() && *left == *right; ++left, ++right) {
      shared /= *left;
    }
    common = shared;
  }
  return common;
}

/// What is wrong with a path at which there is no file.
std::string absence_of_shard(const fs::path& path) {
  std::error_code error;
  if (fs::exists(path, error)) {
    return "is not a file";
  }
  return error ? fmt::format("cannot be looked up: {}", error.message()) : "no such file";
}

void require_all(const std::vector<fs::path>& paths) {
  size_t missing = 0;
  fs::path first;
  for (const fs::path& path : paths) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) {
      first = missing == 0 ? path : first;
      ++missing;
    }
  }
  if (missing > 0) {
    fail_input("{}: {}: {} of {} shards are not there, this one first; its folder holds {}",
               first.string(), absence_of_shard(first), missing, paths.size(),
               names_in(first.parent_path()));
  }
}

}  // namespace

std::vector<std::string> expand_braces(const std::string& pattern) {
  std::vector<std::string> texts{""};
  std::string_view rest = pattern;
  while (!rest.empty()) {
    const size_t open = rest.find('{');
    for (std::string& text : texts) {
      text += rest.substr(0, open);
    }
    if (open == std::string_view::npos) {
      break;
    }
    const size_t close = rest.find('}', open);
    if (close == std::string_view::npos) {
      fail_input("{}: a brace does not close; expected a pattern as in shard-{{000..127}}.tar",
                 pattern);
    }
    const auto parts = alternatives(rest.substr(open + 1, close - open - 1), pattern);
    if (parts.size() * texts.size() > most_names) {
      fail_input("{}: names more than {} files", pattern, most_names);
    }
    std::vector<std::string> longer;
    for (const std::string& text : texts) {
      for (const std::string& part : parts) {
        longer.push_back(text + part);
      }
    }
    texts = std::move(longer);
    rest.remove_prefix(close + 1);
  }
  return texts;
}

std::vector<ShardFile> find_shards(const std::vector<std::string>& patterns) {
  std::vector<fs::path> paths;
  for (const std::string& pattern : patterns) {
    for (const std::string& text : expand_braces(pattern)) {
      paths.push_back(fs::path(text).lexically_normal());
    }
  }
  if (paths.empty()) {
    fail_input("shards: names no file; expected tar files or patterns of them");
  }
  require_all(paths);
  const fs::path folder = common_folder(paths);
  std::vector<ShardFile> shards;
  shards.reserve(paths.size());
  for (const fs::path& path : paths) {
    shards.push_back({path, path.lexically_relative(folder).string()});
  }
  std::sort(shards.begin(), shards.end(),
            [](const ShardFile& left, const ShardFile& right) { return left.name < right.name; });
  const auto twice = std::adjacent_find(
      shards.begin(), shards.end(),
      [](const ShardFile& left, const ShardFile& right) { return left.name == right.name; });
  if (twice != shards.end()) {
    fail_input("{}: is named twice among the shards", twice->path.string());
  }
  return shards;
}

}  // namespace bissl
