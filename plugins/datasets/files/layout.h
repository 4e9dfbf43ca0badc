#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

/// What an official archive unpacks to.
struct LayoutDescription {
  std::string dataset;            ///< as people call it
  std::vector<std::string> tops;  ///< folders that the archive's content may lie in, below `root`
  std::string mark;               ///< a file or folder below that: where it is, the content is
  std::string tree;               ///< the whole layout in words, for errors
};

/// The folder in which a dataset lies in its official layout. Every error says what was expected
/// where, and where the content was found if that is one folder off.
class Layout {
 public:
  /// Finds the content in `root` itself or in one of the folders `tops` below it. Throws
  /// Error(ErrorKind::input) if neither has the mark.
  Layout(LayoutDescription description, const std::filesystem::path& root);

  /// Whether there is something of the description where the constructor looks.
  static bool is_at(const LayoutDescription& description, const std::filesystem::path& root);

  const std::filesystem::path& base() const { return base_; }

  /// The path of a file or a folder below base(). Throws Error(ErrorKind::input) if there is none.
  std::filesystem::path file(const std::string& name) const;
  std::filesystem::path folder(const std::string& name) const;
  bool has_file(const std::string& name) const;

  /// The names of the folders in a folder, but hidden ones, in the order of their bytes.
  std::vector<std::string> folders_in(const std::string& name) const;
  /// The names of the files in a folder, but hidden ones, in the order of their bytes.
  std::vector<std::string> files_in(const std::string& name) const;

 private:
  [[noreturn]] void fail_missing(const std::string& name, const char* what) const;

  LayoutDescription description_;
  std::filesystem::path base_;
};

/// The names in a folder in the order of their bytes, at most `most` of them and then how many
/// more, as a message shows them; "nothing" for none.
std::string names_in(const std::filesystem::path& folder, size_t most = 8);

}  // namespace bissl
