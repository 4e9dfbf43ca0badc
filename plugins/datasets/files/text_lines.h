#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bissl {

/// A line of a text file, with its number for errors.
struct TextLine {
  size_t number = 0;  ///< from 1
  std::string text;   ///< without spaces at either end
};

/// The lines of a text file that are not empty: a list of images, of classes, of a split. Ends of
/// lines may be those of Windows; a byte order mark is passed over.
class TextLines {
 public:
  /// Throws Error(ErrorKind::input) for a file that cannot be read, is empty, is larger than
  /// 256 MiB or has NUL bytes, so is no text.
  explicit TextLines(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<TextLine>& lines() const { return lines_; }

  /// Throws Error(ErrorKind::input) about a line: what was found and what was expected.
  [[noreturn]] void fail(const TextLine& line, const std::string& expected) const;

  /// The fields of a line, which white space separates.
  static std::vector<std::string> fields(const TextLine& line);
  /// The same; fails unless there are `count` of them;
  /// `expected` says what they are.
  std::vector<std::string> fields(const TextLine& line, size_t count,
                                  const std::string& expected) const;

  /// A field as a number from `least` to `most`; fails for another one.
  int64_t number(const TextLine& line, std::string_view field, int64_t least, int64_t most,
                 const std::string& what) const;

  /// A field as the path of a file below a folder: relative, without "." and "..", in at most 4096
  /// bytes. Lists may come from anywhere, and none of them may name files elsewhere.
  std::string path_within(const TextLine& line, const std::string& field) const;

 private:
  std::filesystem::path path_;
  std::vector<TextLine> lines_;
};

/// Whether `name` is a path that stays below the folder that it is relative to.
bool stays_within(std::string_view name);

/// The number that the text is, whole and without a sign before it other than '-'; false if it is
/// none.
bool parse_number(std::string_view text, int64_t& number);

/// Names of classes with their places.
class ClassList {
 public:
  /// Adds a name at the next place. False if it is there already.
  bool add(const std::string& name);
  /// The place of a name, or −1.
  int64_t find(const std::string& name) const;
  /// By their places.
  const std::vector<std::string>& names() const { return names_; }
  int64_t size() const { return static_cast<int64_t>(names_.size()); }

 private:
  std::vector<std::string> names_;
  std::map<std::string, int64_t> places_;
};

/// The classes in a file with a name in each line, in the order of the lines. Throws
/// Error(ErrorKind::input) for a name that occurs twice.
ClassList read_class_list(const std::filesystem::path& path);

}  // namespace bissl
