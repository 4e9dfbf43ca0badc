#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

/// The texts that a pattern names, in order: {000..127} is each number of that range, with as
/// many digits as the shorter bound is written with; {a,b} is each of its parts. Throws
/// Error(ErrorKind::input) for braces that do not close, empty or falling ranges, and more than a
/// million texts.
std::vector<std::string> expand_braces(const std::string& pattern);

/// A shard: its file and its name in the dataset.
struct ShardFile {
  std::filesystem::path path;
  std::string name;  ///< below the folder that all shards are in
};

/// The files that the patterns name, in the order of their names, so that the order in which
/// they are given changes nothing. Throws Error(ErrorKind::input) for one that occurs twice or is
/// not there: how many are not, and the first of them.
std::vector<ShardFile> find_shards(const std::vector<std::string>& patterns);

}  // namespace bissl
