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
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

// Another first line: another form, which is not read.
constexpr const char* first_line = "bissl content hashes 1";
constexpr int64_t young_ns = 2'000'000'000;
constexpr size_t hash_digits = 32;

/// Whether a path has neither empty parts nor "." nor "..".
bool is_normal(std::string_view path) {
  size_t begin = 1;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
    begin = end + 1;
  }
  return path.starts_with('/');
}

std::string absolute(std::string path) {
  if (is_normal(path)) {  // nearly always, and millions of times
    return path;
  }
  std::error_code failed;
  const fs::path found = fs::absolute(path, failed);
  return (failed ? fs::path(path) : found).lexically_normal().string();
}

/// The folder that a file is in.
std::string_view parent(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view()
                                         : path.substr(0, std::max<size_t>(slash, 1));
}

/// Whether `path` is the folder or lies in it.
bool is_within(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) &&
         (path.size() == folder.size() || folder.ends_with('/') || path[folder.size()] == '/');
}

/// The deepest folder that all files are in.
std::string common_folder(const FileSequence& files) {
  std::string common;
  bool first = true;
  for (int64_t place = 0; place < files.file_count(); ++place) {
    const DataFile file = files.data_file(place);
    if (file.path.empty()) {
      continue;  // it cannot be read
    }
    const std::string path = absolute(file.path);
    const std::string_view folder = parent(path);
    if (std::exchange(first, false)) {
      common = folder;
    }
    while (!common.empty() && !is_within(folder, common)) {
      const std::string_view above = parent(common);
      common = above.size() == common.size() ? "" : std::string(above);
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

/// Lines of a record, "size time hash path", found by their paths. They lie in one text: a folder
/// may have millions of files.
class Lines {
 public:
  /// What is known of a file.
  struct Line {
    Stamp stamp;
    std::string_view hash;
    std::string_view path;
  };

  Lines() = default;
  /// Of a file; none where it is not there or not of this form. Lines that are not whole are left
  /// out.
  explicit Lines(const fs::path& file) {
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
      return;
    }
    try {
      text_ = read_whole(file, largest_record);
    } catch (const Error&) {
      return;
    }
    size_t begin = line_end(0);
    if (std::string_view(text_).substr(0, begin) != std::string(first_line) + "\n") {
      return;
    }
    for (; begin < text_.size(); begin = line_end(begin)) {
      if (parse(begin)) {
        starts_.push_back(static_cast<uint32_t>(begin));
      }
    }
    sort();
  }

  void add(const Stamp& stamp, const std::string& hash, const std::string& path) {
    if (path.find('\n') == std::string::npos && text_.size() < largest_record - path.size()) {
      starts_.push_back(static_cast<uint32_t>(text_.size()));
      fmt::format_to(std::back_inserter(text_), "{} {} {} {}\n", stamp.size, stamp.changed_ns, hash,
                     path);
    }
  }
  /// After the last add(), before find().
  void sort() {
    const auto before = [this](uint32_t left, uint32_t right) {
      return parse(left)->path < parse(right)->path;
    };
    if (!std::is_sorted(starts_.begin(), starts_.end(), before)) {
      std::sort(starts_.begin(), starts_.end(), before);
    }
  }

  bool empty() const { return starts_.empty(); }
  size_t size() const { return starts_.size(); }
  Line operator[](size_t place) const { return *parse(starts_[place]); }
  /// Fastest in the order of the paths. For one thread.
  std::optional<Line> find(std::string_view path) {
    if (next_ >= size() || (*this)[next_].path != path) {
      const auto found = std::lower_bound(
          starts_.begin(), starts_.end(), path,
          [this](uint32_t start, std::string_view wanted) { return parse(start)->path < wanted; });
      next_ = static_cast<size_t>(found - starts_.begin());
    }
    if (next_ >= size() || (*this)[next_].path != path) {
      return std::nullopt;
    }
    return (*this)[next_++];
  }

 private:
  static constexpr uint64_t largest_record = (uint64_t{1} << 32) - 4096;

  /// Behind the line that begins there.
  size_t line_end(size_t begin) const {
    return std::min(text_.find('\n', begin), text_.size() - 1) + 1;
  }
  std::optional<Line> parse(size_t begin) const {
    std::string_view line = std::string_view(text_).substr(begin, line_end(begin) - begin);
    Line known;
    if (!line.ends_with('\n') || !take_number(line, known.stamp.size) ||
        !take_number(line, known.stamp.changed_ns) || line.size() <= hash_digits + 2 ||
        line[hash_digits] != ' ') {
      return std::nullopt;
    }
    known.hash = line.substr(0, hash_digits);
    known.path = line.substr(hash_digits + 1, line.size() - hash_digits - 2);
    return known;
  }

  std::string text_;
  std::vector<uint32_t> starts_;  ///< of lines, by their paths
  size_t next_ = 0;               ///< behind what was found last
};

/// Writes what is new and what is there of other files, which another process may have written in
/// the meantime; not what is known of files that are gone.
void write_record(const fs::path& file, const Lines& fresh) {
  try {
    make_folder(file.parent_path());
    const Lines there(file);
    AtomicFile out(file);
    std::string text = std::string(first_line) + "\n";
    const auto add = [&](const Lines::Line& line) {
      constexpr size_t block = size_t{1} << 20;
      fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", line.stamp.size,
                     line.stamp.changed_ns, line.hash, line.path);
      if (text.size() >= block) {
        out.write(text);
        text.clear();
      }
    };
    size_t next = 0;
    for (size_t i = 0; i < there.size(); ++i) {
      const Lines::Line line = there[i];
      while (next < fresh.size() && fresh[next].path < line.path) {
        add(fresh[next++]);
      }
      const bool renewed = next < fresh.size() && fresh[next].path == line.path;
      if (!renewed && stamp_of(std::string(line.path))) {
        add(line);
      }
    }
    while (next < fresh.size()) {
      add(fresh[next++]);
    }
    out.write(text);
    out.commit();
  } catch (const Error&) {
    // A folder that cannot be written: the data is hashed again next time.
  }
}

/// Files of a list in the order of their names.
class SortedFiles : public FileSequence {
 public:
  explicit SortedFiles(std::vector<DataFile> files) : files_(std::move(files)) {
    std::sort(files_.begin(), files_.end(),
              [](const DataFile& left, const DataFile& right) { return left.name < right.name; });
  }
  int64_t file_count() const override { return std::ssize(files_); }
  DataFile data_file(int64_t place) const override { return files_[static_cast<size_t>(place)]; }

 private:
  std::vector<DataFile> files_;
};

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

fs::path ContentHashes::record_file(const std::string& data) const {
  return folder_ / hash_hex(data);
}

std::string ContentHashes::fingerprint(const std::vector<DataFile>& files) const {
  return fingerprint(SortedFiles(files));
}

std::string ContentHashes::fingerprint(const FileSequence& files) const {
  if (files.file_count() == 0 || folder_.empty()) {
    return fingerprint_of_sequence(files);
  }
  const fs::path record = record_file(common_folder(files));
  Lines before = again_ ? Lines() : Lines(record);
  Lines fresh;
  const auto hash_of = [&](const DataFile& file) {
    const std::string path = absolute(file.path);
    const std::optional<Stamp> stamp = stamp_of(path);
    const std::optional<Lines::Line> known = before.find(path);
    if (stamp && known && known->stamp == *stamp) {
      return std::string(known->hash);
    }
    const int64_t begin = now_ns();
    std::string hash = hash_of_file(path);
    if (stamp && stamp == stamp_of(path) && stamp->changed_ns < begin - young_ns) {
      fresh.add(*stamp, hash, path);
    }
    return hash;
  };
  std::string fingerprint = fingerprint_of_sequence(files, hash_of);
  before = {};
  if (!fresh.empty()) {
    fresh.sort();
    write_record(record, fresh);
  }
  return fingerprint;
}

}  // namespace bissl::host
