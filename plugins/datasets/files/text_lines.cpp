#include "text_lines.h"

#include "file_access.h"

#include "bissl/error.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace bissl {
namespace {

constexpr uint64_t largest_list = uint64_t{256} << 20;
constexpr size_t longest_path = 4096;
/// Of what a message quotes of a line.
constexpr size_t longest_quote = 80;

constexpr std::string_view blanks = " \t\r\v\f";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

/// The start of a text as a message may quote it.
std::string quote(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, longest_quote)) {
    shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return fmt::format("\"{}{}\"", shown, text.size() > longest_quote ? "…" : "");
}

}  // namespace

TextLines::TextLines(std::filesystem::path path) : path_(std::move(path)) {
  const std::string content = read_whole_file(path_, largest_list);
  if (const size_t nul = content.find('\0'); nul != std::string::npos) {
    fail_input("{}: has a NUL byte at {}; expected a text file", path_.string(), nul);
  }
  std::string_view rest = content;
  if (rest.starts_with("\xEF\xBB\xBF")) {
    rest.remove_prefix(3);
  }
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    const std::string_view line = trimmed(rest.substr(0, end));
    if (!line.empty()) {
      lines_.push_back({number, std::string(line)});
    }
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  if (lines_.empty()) {
    fail_input("{}: is empty", path_.string());
  }
}

void TextLines::fail(const TextLine& line, const std::string& expected) const {
  fail_input("{}:{}: is {}; expected {}", path_.string(), line.number, quote(line.text), expected);
}

std::vector<std::string> TextLines::fields(const TextLine& line) {
  std::vector<std::string> fields;
  std::string_view rest = line.text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.size(), rest.find_first_of(blanks));
    fields.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end);
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(blanks)));
  }
  return fields;
}

std::vector<std::string> TextLines::fields(const TextLine& line, size_t count,
                                           const std::string& expected) const {
  std::vector<std::string> found = fields(line);
  if (found.size() != count) {
    fail(line, expected);
  }
  return found;
}

int64_t TextLines::number(const TextLine& line, std::string_view field, int64_t least, int64_t most,
                          const std::string& what) const {
  int64_t value = 0;
  if (!parse_number(field, value) || value < least || value > most) {
    fail(line, fmt::format("{} from {} to {} in place of {}", what, least, most, quote(field)));
  }
  return value;
}

std::string TextLines::path_within(const TextLine& line, const std::string& field) const {
  if (!stays_within(field)) {
    fail(line, "the path of a file below the dataset's folder, without \"..\"");
  }
  return field;
}

bool stays_within(std::string_view name) {
  if (name.empty() || name.size() > longest_path || name.front() == '/' || name.back() == '/' ||
      name.find('\0') != std::string_view::npos) {
    return false;
  }
  while (!name.empty()) {
    const size_t end = name.find('/');
    const std::string_view part = name.substr(0, end);
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
    name.remove_prefix(end == std::string_view::npos ? name.size() : end + 1);
  }
  return true;
}

bool parse_number(std::string_view text, int64_t& number) {
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stopped == end;
}

bool ClassList::add(const std::string& name) {
  if (!places_.emplace(name, size()).second) {
    return false;
  }
  names_.push_back(name);
  return true;
}

int64_t ClassList::find(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? -1 : found->second;
}

ClassList read_class_list(const std::filesystem::path& path) {
  const TextLines lines(path);
  ClassList classes;
  for (const TextLine& line : lines.lines()) {
    if (!classes.add(line.text)) {
      lines.fail(line, "a class that no line before names");
    }
  }
  return classes;
}

}  // namespace bissl
