#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bissl {

/// The files of a dataset and their classes, small enough for millions of them: names lie one
/// behind the other in one block of memory, and folders are kept once.
class ImageList {
 public:
  /// No class.
  static constexpr int32_t unlabelled = -1;

  /// A folder for files that follow; returns its number. `path` ends with a slash or is empty.
  uint32_t add_folder(std::string path);
  /// A file in a folder; `label` is a number of the caller's.
  void add(uint32_t folder, std::string_view name, int32_t label);

  int64_t size() const { return static_cast<int64_t>(files_.size()); }
  int32_t label(int64_t index) const { return files_[static_cast<size_t>(index)].label; }
  /// Folder and name.
  std::string path(int64_t index) const;
  /// The order of the paths' bytes, with `prefix` in front of those that begin with a slash.
  std::vector<uint32_t> order_of_paths(std::string_view prefix) const;

  /// Puts the files from `begin` on, all of one folder, in the order of their names' bytes.
  void sort_from(int64_t begin);
  /// Gives each file whose label l is not `unlabelled` the label numbers[l].
  void renumber(const std::vector<int32_t>& numbers);
  /// Keeps the files with a class, or those without.
  void keep(bool labelled);
  /// The two places of a path that occurs twice, the earlier one first; (−1, −1) if none does.
  std::pair<int64_t, int64_t> find_twice() const;
  /// Gives memory back that was taken for more files to come.
  void shrink();

 private:
  struct File {
    uint64_t name = 0;  ///< its first byte's place; a zero ends it
    uint32_t folder = 0;
    int32_t label = unlabelled;
  };
  const char* name(const File& file) const { return names_.data() + file.name; }

  std::string names_;
  std::vector<std::string> folders_;
  std::vector<File> files_;
};

}  // namespace bissl
