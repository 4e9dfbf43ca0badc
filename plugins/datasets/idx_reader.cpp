#include "idx_reader.h"

#include "bissl/error.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>

namespace bissl {
namespace {

/// The type code of unsigned bytes in an IDX header.
constexpr uint8_t unsigned_bytes = 0x08;

/// How much is read at a time: what a header claims is believed no further than the file goes.
constexpr size_t chunk = size_t{4} << 20;

/// What is held in memory at most: a small compressed file may hold a thousand times its size. Ten
/// million images of 28 x 28 pixels are less.
constexpr int64_t most_idx_bytes = int64_t{8} << 30;

class GzipFile {
 public:
  explicit GzipFile(const std::filesystem::path& path) : path_(path.string()) {
    errno = 0;
    file_.reset(gzopen(path_.c_str(), "rb"));
    if (!file_) {
      fail_input("{}: cannot open: {}", path_, errno != 0 ? std::strerror(errno) : "no memory");
    }
    gzbuffer(file_.get(), 1U << 18);
  }

  /// Up to `size` bytes of the decompressed content; fewer at its end. `size` fits an int.
  size_t read(uint8_t* target, size_t size) {
    const int count = gzread(file_.get(), target, static_cast<unsigned>(size));
    if (count < 0) {
      fail_damaged(error_text());
    }
    position_ += static_cast<size_t>(count);
    return static_cast<size_t>(count);
  }

  /// Whether the content just read has ended too early for gzip itself.
  bool cut_short() const {
    int code = Z_OK;
    gzerror(file_.get(), &code);
    return code == Z_BUF_ERROR;
  }

  [[noreturn]] void fail_damaged(const std::string& reason) const {
    fail_input("{}: cannot read on after {} decompressed bytes: {}; fetch the file again", path_,
               position_, reason);
  }

  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };

  std::string error_text() const {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    return code == Z_ERRNO ? std::strerror(errno) : text;
  }

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  size_t position_ = 0;
};

std::string shape_text(const std::vector<int64_t>& dimensions) {
  std::string text;
  for (const int64_t dimension : dimensions) {
    text += fmt::format("{}{}", text.empty() ? "" : " x ", dimension);
  }
  return text;
}

/// The dimensions from the header: two zeros, the type, their number, then each in 32 bits.
std::vector<int64_t> read_header(GzipFile& file, size_t count, const std::string& content) {
  std::vector<uint8_t> header(4 + 4 * count);
  const size_t found = file.read(header.data(), header.size());
  const std::array<uint8_t, 4> expected{0, 0, unsigned_bytes, static_cast<uint8_t>(count)};
  if (found >= expected.size() && !std::equal(expected.begin(), expected.end(), header.begin())) {
    fail_input(
        "{}: starts with {:02x}{:02x}{:02x}{:02x}; expected {:02x}{:02x}{:02x}{:02x}, the "
        "beginning of {} in an IDX file of unsigned bytes with {} dimension{}",
        file.path(), header[0], header[1], header[2], header[3], expected[0], expected[1],
        expected[2], expected[3], content, count, count == 1 ? "" : "s");
  }
  if (found < header.size()) {
    fail_input("{}: ends after {} bytes, within its header; expected {} bytes and then the {}",
               file.path(), found, header.size(), content);
  }
  std::vector<int64_t> dimensions;
  for (size_t at = 4; at < header.size(); at += 4) {
    dimensions.push_back(int64_t{header[at]} << 24 | int64_t{header[at + 1]} << 16 |
                         int64_t{header[at + 2]} << 8 | int64_t{header[at + 3]});
  }
  return dimensions;
}

/// The product of the dimensions.
size_t claimed_bytes(const GzipFile& file, const std::vector<int64_t>& dimensions) {
  int64_t product = 1;
  for (const int64_t dimension : dimensions) {
    if (dimension == 0) {
      fail_input("{}: is empty: its header says {}", file.path(), shape_text(dimensions));
    }
    if (product > std::numeric_limits<int64_t>::max() / dimension) {
      fail_input("{}: its header says {}, more than a file can hold", file.path(),
                 shape_text(dimensions));
    }
    product *= dimension;
  }
  if (product > most_idx_bytes) {
    fail_input("{}: its header says {}, {} bytes; at most {} are read", file.path(),
               shape_text(dimensions), product, most_idx_bytes);
  }
  return static_cast<size_t>(product);
}

}  // namespace

IdxArray read_idx(const std::filesystem::path& path, size_t dimensions,
                  const std::string& content) {
  GzipFile file(path);
  IdxArray array;
  array.dimensions = read_header(file, dimensions, content);
  const size_t expected = claimed_bytes(file, array.dimensions);
  size_t found = 0;
  while (found < expected) {
    const size_t wanted = std::min(chunk, expected - found);
    array.bytes.resize(found + wanted);
    const size_t got = file.read(array.bytes.data() + found, wanted);
    found += got;
    if (got < wanted) {
      fail_input(
          "{}: ends too early: {} bytes of {} found, {} expected ({}){}; fetch the file again",
          file.path(), found, content, expected, shape_text(array.dimensions),
          file.cut_short() ? ", and the gzip stream is cut short" : "");
    }
  }
  // Reading on also makes zlib compare the checksum.
  uint8_t beyond = 0;
  if (file.read(&beyond, 1) != 0) {
    fail_input("{}: has bytes after the {} bytes of {} that its header announces ({})", file.path(),
               expected, content, shape_text(array.dimensions));
  }
  if (file.cut_short()) {
    file.fail_damaged("the gzip stream is cut short");
  }
  return array;
}

}  // namespace bissl
