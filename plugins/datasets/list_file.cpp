#include "list_file.h"

#include "bissl/error.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

namespace bissl {
namespace {

using namespace std::string_view_literals;

/// Reads fields and lines of a CSV text.
class ListReader {
 public:
  ListReader(std::string_view text, const std::string& name) : text_(text), name_(name) {
    if (text_.starts_with("\xEF\xBB\xBF"sv)) {
      at_ = 3;
    }
  }

  bool at_end() const { return at_ >= text_.size(); }
  /// Of what was read last, from 1 on.
  int64_t line() const { return line_; }

  /// The fields of the next line; none if it is empty.
  std::vector<std::string> next_line() {
    line_ = next_number_;
    std::vector<std::string> fields;
    if (take_line_end()) {
      return fields;
    }
    do {
      fields.push_back(field());
    } while (take(','));
    if (!at_end() && !take_line_end()) {
      fail("has {} behind a field in quotes; expected a comma or the line's end", shown());
    }
    return fields;
  }

  template <class... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    fail_input("{}:{}: {}", name_, line_,
               fmt::format(format, std::forward<Arguments>(arguments)...));
  }

 private:
  bool take(char c) {
    if (at_end() || text_[at_] != c) {
      return false;
    }
    ++at_;
    return true;
  }

  bool take_line_end() {
    if (text_.substr(at_).starts_with("\r\n"sv)) {
      at_ += 2;
    } else if (!take('\n')) {
      return false;
    }
    ++next_number_;
    return true;
  }

  std::string field() { return take('"') ? quoted() : plain(); }

  std::string quoted() {
    std::string value;
    while (true) {
      if (at_end()) {
        fail("a field in quotes does not end");
      }
      const char c = text_[at_++];
      if (c == '"' && !take('"')) {
        return value;
      }
      require_text(c);
      next_number_ += c == '\n' ? 1 : 0;
      value += c;
    }
  }

  std::string plain() {
    const size_t begin = at_;
    while (!at_end() && text_[at_] != ',' && text_[at_] != '\n' &&
           !text_.substr(at_).starts_with("\r\n"sv)) {
      const char c = text_[at_++];
      require_text(c);
      if (c == '\r') {
        fail("has a carriage return within a field; lines end with LF or CRLF");
      }
      if (c == '"') {
        fail("has a quote within a field; put the whole field in quotes and double it");
      }
    }
    std::string value(text_.substr(begin, at_ - begin));
    if (!value.empty() && (is_blank(value.front()) || is_blank(value.back()))) {
      fail("has blanks around the field \"{}\"; take them away, or put it in quotes", value);
    }
    return value;
  }

  void require_text(char c) const {
    if (c == '\0') {
      fail("has a byte that is zero; expected text in UTF-8");
    }
  }

  static bool is_blank(char c) { return c == ' ' || c == '\t'; }

  std::string shown() const {
    return text_[at_] == '\0' ? "a byte that is zero" : fmt::format("\"{}\"", text_[at_]);
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int64_t line_ = 1;
  int64_t next_number_ = 1;
};

bool is_heading(const std::vector<std::string>& fields) {
  return fields.front() == "path" &&
         (fields.size() == 1 || (fields.size() == 2 && fields[1] == "label"));
}

/// Numbers labels as they come, and in the order of their bytes in the end.
class Labels {
 public:
  int32_t number(const std::string& label) {
    if (label.empty()) {
      return ImageList::unlabelled;
    }
    return numbers_.try_emplace(label, static_cast<int32_t>(numbers_.size())).first->second;
  }

  void finish(ListContent& content) const {
    std::vector<int32_t> sorted(numbers_.size());
    for (const auto& [label, number] : numbers_) {
      sorted[static_cast<size_t>(number)] = static_cast<int32_t>(content.labels.size());
      content.labels.push_back(label);
    }
    content.images.renumber(sorted);
  }

 private:
  std::map<std::string, int32_t> numbers_;
};

}  // namespace

ListContent read_list(std::string_view text, const std::string& name) {
  ListContent content;
  Labels labels;
  ListReader reader(text, name);
  const uint32_t folder = content.images.add_folder("");
  std::vector<int64_t> lines;
  for (bool first = true; !reader.at_end();) {
    const std::vector<std::string> fields = reader.next_line();
    if (fields.empty() || (std::exchange(first, false) && is_heading(fields))) {
      continue;
    }
    if (fields.size() > 2) {
      reader.fail("has {} fields; expected a path, or a path and a label", fields.size());
    }
    if (fields.front().empty()) {
      reader.fail("has no path");
    }
    content.images.add(folder, fields.front(), labels.number(fields.size() == 2 ? fields[1] : ""));
    lines.push_back(reader.line());
  }
  if (const auto [earlier, later] = content.images.find_twice(); earlier >= 0) {
    fail_input("{}:{}: names the same path as line {}: {}", name, lines[static_cast<size_t>(later)],
               lines[static_cast<size_t>(earlier)], content.images.path(later));
  }
  labels.finish(content);
  content.images.shrink();
  return content;
}

}  // namespace bissl
