#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/file_sequence.h"
#include "bissl/sample_names.h"

#include "bissl/error.h"
#include "bissl/hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <utility>

namespace bissl {
namespace {

[[noreturn]] void fail_to_read(const std::string& path) {
  fail_input("{}: cannot be read: {}", path, std::generic_category().message(errno));
}

/// In the place of a hash: as long as one, and none, as it has no digits.
constexpr const char* no_content = "--------------------------------";

using OpenFile = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

/// What has no content to hash, in words.
const char* special_kind(mode_t mode) {
  return S_ISDIR(mode)    ? "a folder"
         : S_ISFIFO(mode) ? "a pipe"
         : S_ISSOCK(mode) ? "a socket"
                          : "a device";
}

/// Opens a regular file. Without O_NONBLOCK, opening a pipe that nobody writes to would wait for
/// ever; a device may have no end.
OpenFile open_regular_file(const std::string& path) {
  const int handle = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (handle < 0) {
    fail_to_read(path);
  }
  OpenFile file(::fdopen(handle, "rb"), &std::fclose);
  if (!file) {
    ::close(handle);
    fail_input("{}: cannot be read: there is not enough memory", path);
  }
  struct stat status {};
  if (::fstat(handle, &status) != 0) {
    fail_to_read(path);
  }
  if (!S_ISREG(status.st_mode)) {
    fail_input("{}: cannot be read: it is {}; expected a file", path, special_kind(status.st_mode));
  }
  return file;
}

/// Files of a list, in order.
class SortedFiles : public FileSequence {
 public:
  explicit SortedFiles(std::vector<DataFile> files) : files_(std::move(files)) {
    std::sort(files_.begin(), files_.end(),
              [](const DataFile& left, const DataFile& right) { return left.name < right.name; });
  }
  int64_t file_count() const override { return static_cast<int64_t>(files_.size()); }
  DataFile data_file(int64_t place) const override { return files_[static_cast<size_t>(place)]; }

 private:
  std::vector<DataFile> files_;
};

}  // namespace

DataFiles::~DataFiles() = default;
DataNotes::~DataNotes() = default;
FileSequence::~FileSequence() = default;
SampleNames::~SampleNames() = default;

std::string hash_of_file(const std::string& path) {
  const OpenFile file = open_regular_file(path);
  Hasher hasher;
  std::array<char, size_t{1} << 17> block;  // NOLINT: not filled, for most files are small
  while (const size_t size = std::fread(block.data(), 1, block.size(), file.get())) {
    hasher.update(block.data(), size);
  }
  if (std::ferror(file.get()) != 0) {
    fail_to_read(path);
  }
  return hasher.hex();
}

std::string fingerprint_of_files(std::vector<DataFile> files,
                                 const std::function<std::string(const DataFile&)>& hash) {
  return fingerprint_of_sequence(SortedFiles(std::move(files)), hash);
}

std::string fingerprint_of_sequence(const FileSequence& files,
                                    const std::function<std::string(const DataFile&)>& hash) {
  Hasher hasher;
  DataFile before;
  for (int64_t place = 0; place < files.file_count(); ++place) {
    DataFile file = files.data_file(place);
    if (place > 0 && file.name == before.name) {
      fail_run("the dataset names two files \"{}\": {} and {}", file.name, before.path, file.path);
    }
    if (place > 0 && file.name < before.name) {
      fail_run("the dataset names its files in no order: \"{}\" after \"{}\"", file.name,
               before.name);
    }
    // The length ends the name; hashes are of one length.
    hasher.update(fmt::format("{} ", file.name.size()))
        .update(file.name)
        .update(file.path.empty() ? no_content : hash(file));
    before = std::move(file);
  }
  return hasher.hex();
}

}  // namespace bissl
