#include "inflate.h"

#include "file_access.h"

#include "bissl/error.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace bissl {
namespace {

namespace fs = std::filesystem;

/// Of output, and of a gzip file's input.
constexpr size_t chunk = size_t{1} << 20;

/// What unpacking leaves free on the disk, and how often it looks.
constexpr uint64_t space_to_leave = uint64_t{1} << 30;
constexpr uint64_t look_every = uint64_t{256} << 20;

/// zlib's state of a decompression.
class Inflation {
 public:
  /// `window_bits` as inflateInit2 takes them.
  explicit Inflation(int window_bits) {
    if (inflateInit2(&stream_, window_bits) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~Inflation() { inflateEnd(&stream_); }
  Inflation(const Inflation&) = delete;
  Inflation& operator=(const Inflation&) = delete;

  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
};

/// A file that is new under a name of its own and gets its final one by `keep`.
class NewFile {
 public:
  explicit NewFile(fs::path path)
      : path_(std::move(path)), draft_(fmt::format("{}.{}", path_.string(), getpid())) {
    descriptor_ = open(draft_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      fail();
    }
  }
  ~NewFile() {
    close(descriptor_);
    if (!kept_) {
      std::error_code ignored;
      fs::remove(draft_, ignored);
    }
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(const uint8_t* bytes, size_t size) {
    written_ += size;
    if (written_ >= look_again_at_) {
      look_again_at_ = written_ + look_every;
      require_space();
    }
    while (size > 0) {
      const ssize_t written = ::write(descriptor_, bytes, size);
      if (written < 0 && errno != EINTR) {
        fail();
      }
      const auto done = static_cast<size_t>(std::max<ssize_t>(0, written));
      bytes += done;
      size -= done;
    }
  }

  void keep() {
    if (fsync(descriptor_) != 0 || std::rename(draft_.c_str(), path_.c_str()) != 0) {
      fail();
    }
    kept_ = true;
  }

 private:
  /// A small file may hold a thousand times its size: it must not fill the disk.
  void require_space() const {
    std::error_code error;
    const fs::space_info space = fs::space(draft_, error);
    if (!error && space.available < space_to_leave) {
      fail_run("{}: not written on after {} bytes: less than 1 GiB would be left on the disk",
               draft_, written_);
    }
  }

  [[noreturn]] void fail() const {
    fail_run("{}: cannot be written: {}", draft_, std::generic_category().message(errno));
  }

  fs::path path_;
  std::string draft_;
  int descriptor_ = -1;
  uint64_t written_ = 0;
  uint64_t look_again_at_ = 0;
  bool kept_ = false;
};

/// The input of a decompression, a chunk at a time.
class PackedInput {
 public:
  explicit PackedInput(const fs::path& path) : file_(path), buffer_(chunk) {}

  const fs::path& path() const { return file_.path(); }
  uint64_t position() const { return position_; }
  bool exhausted() const { return position_ == file_.size(); }

  void refill(z_stream& stream) {
    const auto size = static_cast<size_t>(std::min<uint64_t>(chunk, file_.size() - position_));
    file_.read(position_, buffer_.data(), size);
    position_ += size;
    stream.next_in = buffer_.data();
    stream.avail_in = static_cast<uInt>(size);
  }

 private:
  RandomAccessFile file_;
  std::vector<uint8_t> buffer_;
  uint64_t position_ = 0;
};

/// Decompresses one member of a gzip file, whose input continues from the one before.
void unpack_member(PackedInput& input, z_stream& stream, std::vector<uint8_t>& buffer,
                   NewFile& output) {
  int code = Z_OK;
  while (code != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      if (input.exhausted()) {
        fail_input("{}: the gzip stream is cut short after {} bytes; fetch the file again",
                   input.path().string(), input.position());
      }
      input.refill(stream);
    }
    stream.next_out = buffer.data();
    stream.avail_out = static_cast<uInt>(buffer.size());
    code = inflate(&stream, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      fail_input("{}: cannot be decompressed: {} before byte {}; fetch the file again",
                 input.path().string(), stream.msg != nullptr ? stream.msg : zError(code),
                 input.position());
    }
    output.write(buffer.data(), buffer.size() - stream.avail_out);
  }
}

/// Whether nothing but zeros follows a member, with which some copies of a file are filled up.
bool ends_here(PackedInput& input, z_stream& stream) {
  bool zeros = false;
  while (stream.avail_in > 0 || !input.exhausted()) {
    if (stream.avail_in == 0) {
      input.refill(stream);
    }
    if (*stream.next_in != 0 && zeros) {
      fail_input(
          "{}: something follows the zeros behind its gzip stream, before byte {}; expected "
          "nothing but zeros there. Fetch the file again",
          input.path().string(), input.position());
    }
    if (*stream.next_in != 0) {
      return false;
    }
    zeros = true;
    ++stream.next_in;
    --stream.avail_in;
  }
  return true;
}

}  // namespace

std::string inflate_zlib(std::span<const uint8_t> packed, uint64_t most_bytes,
                         const std::string& place) {
  Inflation inflation(MAX_WBITS);
  z_stream& stream = inflation.stream();
  if (packed.size() > std::numeric_limits<uInt>::max()) {
    fail_input("{}: has compressed data of {} bytes", place, packed.size());
  }
  stream.next_in = const_cast<Bytef*>(packed.data());  // zlib does not change it
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string content;
  int code = Z_OK;
  while (code == Z_OK) {
    // Memory grows with what is there, not with what is announced.
    const size_t found = content.size();
    content.resize(found + std::clamp<size_t>(found, size_t{1} << 16, chunk * 64));
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + found);
    stream.avail_out = static_cast<uInt>(content.size() - found);
    code = inflate(&stream, Z_NO_FLUSH);
    content.resize(content.size() - stream.avail_out);
    if (content.size() > most_bytes) {
      fail_input("{}: holds more than {} bytes after decompression", place, most_bytes);
    }
  }
  if (code != Z_STREAM_END) {
    fail_input("{}: cannot be decompressed: {}; fetch the file again", place,
               stream.msg != nullptr ? stream.msg : "it is cut short");
  }
  return content;
}

void unpack_gzip(const fs::path& packed, const fs::path& unpacked) {
  PackedInput input(packed);
  NewFile output(unpacked);
  std::vector<uint8_t> buffer(chunk);
  Inflation inflation(MAX_WBITS + 16);  // 16: gzip
  z_stream& stream = inflation.stream();
  do {
    unpack_member(input, stream, buffer, output);
    inflateReset(&stream);
  } while (!ends_here(input, stream));
  output.keep();
}

bool is_gzip(const fs::path& path) {
  const RandomAccessFile file(path);
  std::array<uint8_t, 2> start{};
  if (file.size() < start.size()) {
    return false;
  }
  file.read(0, start.data(), start.size());
  return start[0] == 0x1F && start[1] == 0x8B;
}

}  // namespace bissl
