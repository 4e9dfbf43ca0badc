#include "data/content_hashes.h"

#include "base/atomic_file.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "bissl/hash.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <sstream>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

// Another first line: another form, which is not read.
constexpr const char* first_line = "bissl content hashes 1";
constexpr int64_t young_ns = 2'000'000'000;
constexpr size_t hash_digits = 32;

fs::path absolute(const std::string& path) {
  std::error_code failed;
  const fs::path found = fs::absolute(path, failed);
  return (failed ? fs::path(path) : found).lexically_normal();
}

/// The deepest folder that all files are in.
fs::path common_folder(const std::vector<fs::path>& paths) {
  fs::path common = paths.front().parent_path();
  for (const fs::path& path : paths) {
    const fs::path folder = path.parent_path();
    const auto differ = std::mismatch(common.begin(), common.end(), folder.begin(), folder.end());
    if (differ.first != common.end()) {
      fs::path shared;
      for (auto part = common.begin(); part != differ.first; ++part) {
        shared /= *part;
      }
      common = std::move(shared);
    }
  }
  return common;
}

struct Stamp {
  uint64_t size = 0;
  int64_t changed_ns = 0;
  bool operator==(const Stamp&) const = default;
};

std::optional<Stamp> stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  return Stamp{static_cast<uint64_t>(status.st_size),
               status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Takes a number and the blank behind it from the front of a line.
template <class Number>
bool take_number(std::string_view& line, Number& number) {
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || end == line.data() + line.size() || *end != ' ') {
    return false;
  }
  line.remove_prefix(static_cast<size_t>(end - line.data()) + 1);
  return true;
}

}  // namespace

fs::path cache_folder(const std::string& name) {
  const auto folder_in = [](const char* variable) {
    const char* value = std::getenv(variable);
    const fs::path folder = value == nullptr ? "" : value;
    return folder.is_absolute() ? folder : fs::path();
  };
  fs::path cache = folder_in("XDG_CACHE_HOME");
  if (cache.empty()) {
    const fs::path home = folder_in("HOME");
    cache = home.empty() ? home : home / ".cache";
  }
  return cache.empty() ? cache : cache / "bissl" / name;
}

fs::path content_hash_folder() { return cache_folder("content-hashes"); }

fs::path ContentHashes::record_file(const fs::path& data) const {
  return folder_ / hash_hex(data.string());
}

/// Nothing of a file that is not there or not of this form; lines that are not whole are left out.
ContentHashes::Record ContentHashes::read(const fs::path& file) {
  constexpr uint64_t limit = uint64_t{1} << 32;
  Record record;
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    return record;
  }
  std::string text;
  try {
    text = read_whole(file, limit);
  } catch (const Error&) {
    return record;
  }
  std::string_view rest = text;
  const auto next_line = [&rest] {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return line;
  };
  if (next_line() != first_line) {
    return record;
  }
  while (!rest.empty()) {
    std::string_view line = next_line();
    Known known;
    if (take_number(line, known.size) && take_number(line, known.changed_ns) &&
        line.size() > hash_digits + 1 && line[hash_digits] == ' ') {
      known.hash = line.substr(0, hash_digits);
      record[std::string(line.substr(hash_digits + 1))] = std::move(known);
    }
  }
  return record;
}

/// Adds `own` to what is there, which another process may have written in the meantime.
void ContentHashes::write(const fs::path& file, const Record& own) {
  try {
    Record all = read(file);
    std::erase_if(all, [&](const auto& entry) {
      return own.count(entry.first) == 0 && !stamp_of(entry.first);  // the file is gone
    });
    for (const auto& [path, known] : own) {
      all[path] = known;
    }
    std::string text = std::string(first_line) + "\n";
    for (const auto& [path, known] : all) {
      if (path.find('\n') == std::string::npos) {
        text += fmt::format("{} {} {} {}\n", known.size, known.changed_ns, known.hash, path);
      }
    }
    make_folder(file.parent_path());
    write_file_atomically(file, text);
  } catch (const Error&) {
    // A folder that cannot be written: the data is hashed again next time.
  }
}

std::string ContentHashes::fingerprint(const std::vector<DataFile>& files) {
  if (files.empty() || folder_.empty()) {
    return fingerprint_of_files(files);
  }
  std::vector<fs::path> paths;
  paths.reserve(files.size());
  for (const DataFile& file : files) {
    paths.push_back(absolute(file.path));
  }
  const fs::path record_path = record_file(common_folder(paths));
  const Record before = again_ ? Record() : read(record_path);
  Record fresh;
  const auto hash_of = [&](const DataFile& file) {
    const std::string path = absolute(file.path).string();
    const std::optional<Stamp> stamp = stamp_of(path);
    const auto known = before.find(path);
    if (stamp && known != before.end() &&
        *stamp == Stamp{known->second.size, known->second.changed_ns}) {
      return known->second.hash;
    }
    const int64_t begin = now_ns();
    std::string hash = hash_of_file(path);
    if (stamp && stamp == stamp_of(path) && stamp->changed_ns < begin - young_ns) {
      fresh[path] = {stamp->size, stamp->changed_ns, hash};
    }
    return hash;
  };
  std::string fingerprint = fingerprint_of_files(files, hash_of);
  if (!fresh.empty()) {
    write(record_path, fresh);
  }
  return fingerprint;
}

}  // namespace bissl::host
