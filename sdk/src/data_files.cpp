#include "bissl/data_files.h"
#include "bissl/data_notes.h"

#include "bissl/error.h"
#include "bissl/hash.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

namespace bissl {
namespace {

[[noreturn]] void fail_to_read(const std::string& path) {
  fail_input("{}: cannot be read: {}", path, std::generic_category().message(errno));
}

}  // namespace

DataFiles::~DataFiles() = default;
DataNotes::~DataNotes() = default;

std::string hash_of_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (!file) {
    fail_to_read(path);
  }
  Hasher hasher;
  std::vector<char> block(size_t{1} << 20);
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
  std::sort(files.begin(), files.end(),
            [](const DataFile& left, const DataFile& right) { return left.name < right.name; });
  const auto twice = std::adjacent_find(
      files.begin(), files.end(),
      [](const DataFile& left, const DataFile& right) { return left.name == right.name; });
  if (twice != files.end()) {
    fail_run("the dataset names two files \"{}\": {} and {}", twice->name, twice->path,
             std::next(twice)->path);
  }
  Hasher hasher;
  for (const DataFile& file : files) {
    // The length ends the name; hashes are of one length.
    hasher.update(fmt::format("{} ", file.name.size())).update(file.name).update(hash(file));
  }
  return hasher.hex();
}

}  // namespace bissl
