#include "tar_reader.h"

#include "text_lines.h"

#include "bissl/error.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace bissl {
namespace {

constexpr uint64_t block = 512;
/// Of a pax header or a long name: names and a few attributes.
constexpr uint64_t largest_extension = uint64_t{1} << 20;

using Header = std::array<char, block>;

/// A field of a header up to its first NUL.
std::string_view text_field(const Header& header, size_t at, size_t size) {
  const std::string_view field(header.data() + at, size);
  return field.substr(0, field.find('\0'));
}

class TarScanner {
 public:
  TarScanner(const RandomAccessFile& archive, const std::function<void(const TarMember&)>& visit)
      : archive_(archive), visit_(visit) {}

  void run() {
    while (read_header()) {
      take_member();
    }
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    fail_input("{}: at byte {}: {}", archive_.path().string(), header_at_, reason);
  }

  /// The next header; false at the zero block that ends the archive.
  bool read_header() {
    header_at_ = next_;
    if (archive_.size() < next_ || archive_.size() - next_ < block) {
      fail(next_ == archive_.size() && next_ > 0
               ? "the archive ends without the zero block at the end of a tar file: it "
                 "is cut short; fetch or write it again"
               : "the archive is cut short: no header of 512 bytes; fetch or write it again");
    }
    archive_.read(next_, header_.data(), block);
    next_ += block;
    if (std::all_of(header_.begin(), header_.end(), [](char c) { return c == '\0'; })) {
      require_zeros();
      return false;
    }
    check_sum();
    return true;
  }

  /// Behind the end there may be zeros, with which tar fills its last record.
  void require_zeros() {
    std::array<char, 16 * block> part{};
    while (next_ < archive_.size()) {
      const auto size =
          static_cast<size_t>(std::min<uint64_t>(part.size(), archive_.size() - next_));
      archive_.read(next_, part.data(), size);
      const auto end = part.begin() + static_cast<std::ptrdiff_t>(size);
      const auto found = std::find_if(part.begin(), end, [](char c) { return c != '\0'; });
      if (found != end) {
        header_at_ = next_ + static_cast<uint64_t>(found - part.begin());
        fail(
            "something follows the zero block at the end of the archive, as where `cat` has put "
            "archives together; expected zeros alone. Name each archive as a shard of its own, or "
            "put them together by `tar --concatenate`");
      }
      next_ += size;
    }
  }

  /// The sum of all bytes with the field itself as spaces; some programs add signed bytes.
  void check_sum() const {
    constexpr size_t begin = 148;
    constexpr size_t end = 156;
    int64_t plain = 0;
    int64_t with_signs = 0;
    for (size_t i = 0; i < header_.size(); ++i) {
      const char c = i >= begin && i < end ? ' ' : header_[i];
      plain += static_cast<unsigned char>(c);
      with_signs += static_cast<signed char>(c);
    }
    const auto stored = static_cast<int64_t>(number_field(begin, end - begin, "checksum"));
    if (stored != plain && stored != with_signs) {
      fail(
          "no header of a tar file: its checksum is wrong; expected an uncompressed tar file, "
          "whole "
          "and undamaged");
    }
  }

  /// Octal digits, or with the highest bit set a big-endian number (GNU).
  uint64_t number_field(size_t at, size_t size, const char* what) const {
    const std::string_view field(header_.data() + at, size);
    if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {
      return binary_number(field, what);
    }
    uint64_t value = 0;
    bool digits = false;
    for (const char c : field) {
      if (c >= '0' && c <= '7') {
        value = value << 3 | static_cast<uint64_t>(c - '0');
        digits = true;
      } else if (c == '\0' || c == ' ') {
        if (digits) {
          break;
        }
      } else {
        fail(fmt::format("the {} is no octal number: no header of a tar file", what));
      }
    }
    return value;
  }
  uint64_t binary_number(std::string_view field, const char* what) const {
    uint64_t value = static_cast<unsigned char>(field[0]) & 0x7F;
    for (const char c : field.substr(1)) {
      if (value >> 55 != 0) {
        fail(fmt::format("the {} is larger than a file can be", what));
      }
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }

  void take_member() {
    uint64_t size = number_field(124, 12, "size");
    const char type = header_[156];
    const bool extension = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    if (!extension && pax_size_) {
      size = *pax_size_;
    }
    if (size > archive_.size() - next_) {
      fail(fmt::format(
          "\"{}\" is to have {} bytes, but the archive ends after {} of them: it is cut "
          "short or damaged; fetch or write it again",
          printable(name()), size, archive_.size() - next_));
    }
    const uint64_t offset = next_;
    next_ += (size + block - 1) / block * block;
    if (extension) {
      take_extension(type, offset, size);
      return;
    }
    if (type == '0' || type == '\0' || type == '7') {
      take_file(offset, size);
    } else if (type != '5') {
      refuse(type);
    }
    pax_path_.clear();
    long_name_.clear();
    pax_size_.reset();
  }

  void take_file(uint64_t offset, uint64_t size) {
    std::string path = name();
    while (path.starts_with("./")) {
      path.erase(0, 2);
    }
    if (path.ends_with('/')) {
      return;  // a folder in the oldest format
    }
    if (!stays_within(path)) {
      fail(
          fmt::format("the name \"{}\" leads out of the archive or is too long; expected a "
                      "relative path without \"..\"",
                      printable(path)));
    }
    visit_({std::move(path), offset, size});
  }

  [[noreturn]] void refuse(char type) const {
    const char* what = "of a type that no file has";
    switch (type) {
      case '1':
      case '2':
        what = "a link";
        break;
      case '3':
      case '4':
        what = "a device";
        break;
      case '6':
        what = "a named pipe";
        break;
      case 'S':
        what = "a sparse file";
        break;
      default:
        break;
    }
    fail(fmt::format("\"{}\" is {}; only files and folders are accepted", printable(name()), what));
  }

  /// A header that says something of the next one.
  void take_extension(char type, uint64_t offset, uint64_t size) {
    if (size > largest_extension) {
      fail(fmt::format("an extended header has {} bytes; at most {} are accepted", size,
                       largest_extension));
    }
    std::string content(static_cast<size_t>(size), '\0');
    archive_.read(offset, content.data(), content.size());
    if (type == 'L') {
      long_name_ = content.substr(0, content.find('\0'));
    } else if (type == 'x') {
      take_pax(content);
    }
  }

  /// Records "LENGTH KEY=VALUE\n", where the length counts all of the record.
  void take_pax(std::string_view rest) {
    while (!rest.empty()) {
      const size_t space = rest.find(' ');
      int64_t length = 0;
      if (space == std::string_view::npos || !parse_number(rest.substr(0, space), length) ||
          length <= static_cast<int64_t>(space) + 1 || length > std::ssize(rest) ||
          rest[static_cast<size_t>(length) - 1] != '\n') {
        fail("an extended header is no list of records");
      }
      const auto end = static_cast<size_t>(length);
      const std::string_view record = rest.substr(space + 1, end - space - 2);
      const size_t equals = record.find('=');
      if (equals == std::string_view::npos) {
        fail("an extended header has a record without \"=\"");
      }
      take_record(record.substr(0, equals), record.substr(equals + 1));
      rest.remove_prefix(end);
    }
  }
  void take_record(std::string_view key, std::string_view value) {
    int64_t number = 0;
    if (key == "path") {
      pax_path_ = value;
    } else if (key == "size") {
      if (!parse_number(value, number) || number < 0) {
        fail("an extended header gives a size that is no number");
      }
      pax_size_ = static_cast<uint64_t>(number);
    } else if (key.starts_with("GNU.sparse.")) {
      fail("the next member is a sparse file; only whole files are accepted");
    }
  }

  std::string name() const {
    if (!pax_path_.empty()) {
      return pax_path_;
    }
    if (!long_name_.empty()) {
      return long_name_;
    }
    const std::string plain(text_field(header_, 0, 100));
    const std::string_view prefix = text_field(header_, 345, 155);
    // GNU's older format has times in the place of the prefix.
    const bool ustar = std::string_view(header_.data() + 257, 6) == std::string_view("ustar\0", 6);
    return ustar && !prefix.empty() ? fmt::format("{}/{}", prefix, plain) : plain;
  }

  static std::string printable(std::string text) {
    text.resize(std::min<size_t>(text.size(), 200));
    std::replace_if(
        text.begin(), text.end(),
        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
    return text;
  }

  const RandomAccessFile& archive_;
  const std::function<void(const TarMember&)>& visit_;
  Header header_{};
  uint64_t header_at_ = 0;
  uint64_t next_ = 0;
  std::string pax_path_;
  std::string long_name_;
  std::optional<uint64_t> pax_size_;
};

}  // namespace

void list_tar(const RandomAccessFile& archive, const std::function<void(const TarMember&)>& visit) {
  TarScanner(archive, visit).run();
}

}  // namespace bissl
