#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/file_sequence.h"
#include "bissl/sample_names.h"

#include "bissl/error.h"
#include "bissl/hash.h"

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
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (!file) {
    fail_to_read(path);
  }
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
    hasher.update(fmt::format("{} ", file.name.size())).update(file.name).update(hash(file));
    before = std::move(file);
  }
  return hasher.hex();
}

}  // namespace bissl
