#include "data/pixel_file.h"

#include "base/posix_file.h"
#include "bissl/error.h"
#include "bissl/hash.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace bissl::host {
namespace {

constexpr uint64_t head_magic = 0x31304c5850534942;   // "BISPXL01" where the lowest byte is first
constexpr uint64_t block_magic = 0x4b434f4c42585042;  // "BPXBLOCK"
constexpr uint64_t tail_magic = 0x4c49415458455042;   // "BPEXTAIL"
constexpr uint64_t longest_source = 4096;

/// Where an image lies in the file.
struct Entry {
  uint64_t offset = 0;
  uint32_t height = 0;
  uint32_t width = 0;
  uint32_t channels = 0;
  uint32_t reserved = 0;

  uint64_t bytes() const { return uint64_t{height} * width * channels; }
  /// Whether its pixels lie before `end`.
  bool lies_before(uint64_t end) const {
    constexpr uint32_t largest_side = 1U << 24U;
    constexpr uint32_t most_channels = 1U << 12U;
    return height <= largest_side && width <= largest_side && channels <= most_channels &&
           bytes() <= end && offset <= end - bytes();
  }
};

struct Head {
  uint64_t magic = head_magic;
  uint64_t source_size = 0;  ///< of the text that follows
};

struct BlockHead {
  uint64_t magic = block_magic;
  uint64_t samples = 0;
  uint64_t bytes = 0;  ///< of the entries and the pixels behind them
  uint64_t hash = 0;   ///< of both
};

struct Tail {
  uint64_t index_offset = 0;
  uint64_t samples = 0;
  uint64_t index_hash = 0;
  uint64_t magic = tail_magic;
};

uint64_t hash_of(const void* data, size_t size) {
  return hash64({static_cast<const char*>(data), size});
}

/// Reads a structure; false where the file ends before it does.
template <class Record>
bool read_record(const FileDescriptor& open, uint64_t offset, const std::filesystem::path& file,
                 Record& record) {
  return read_at(open, &record, sizeof(Record), offset, file) == sizeof(Record);
}

/// The source that the head names; none where the file does not begin with a whole head.
std::optional<std::string> read_source(const FileDescriptor& open,
                                       const std::filesystem::path& file) {
  Head head;
  if (!read_record(open, 0, file, head) || head.magic != head_magic ||
      head.source_size > longest_source) {
    return std::nullopt;
  }
  std::string source(head.source_size, '\0');
  if (read_at(open, source.data(), source.size(), sizeof(Head), file) != source.size()) {
    return std::nullopt;
  }
  return source;
}

[[noreturn]] void fail_damaged(const std::filesystem::path& file, const std::string& what) {
  fail_run("the decoded pixels in {} cannot be used: {}. Remove the file; it is made again",
           file.string(), what);
}

}  // namespace

struct PixelFileWriter::State {
  std::filesystem::path file;
  std::string source;
  FileDescriptor open;
  std::vector<Entry> index;
  uint64_t end = 0;  ///< of what is whole

  void begin() {
    if (ftruncate(open.get(), 0) != 0) {
      fail_write(file, errno);
    }
    index.clear();
    seek(0);
    const Head head{.source_size = source.size()};
    write_all(open, &head, sizeof(head), file);
    write_all(open, source.data(), source.size(), file);
    end = sizeof(head) + source.size();
  }

  void seek(uint64_t place) {
    if (lseek(open.get(), static_cast<off_t>(place), SEEK_SET) < 0) {
      fail_write(file, errno);
    }
  }

  /// Takes the block at `end`, if a whole one is there.
  bool take_block(uint64_t size) {
    BlockHead head;
    if (!read_record(open, end, file, head) || head.magic != block_magic ||
        head.bytes > size - end - sizeof(head) || head.samples > head.bytes / sizeof(Entry)) {
      return false;
    }
    std::vector<uint8_t> content(head.bytes);
    if (read_at(open, content.data(), content.size(), end + sizeof(head), file) != content.size() ||
        hash_of(content.data(), content.size()) != head.hash) {
      return false;
    }
    std::vector<Entry> entries(head.samples);
    std::memcpy(entries.data(), content.data(), entries.size() * sizeof(Entry));
    index.insert(index.end(), entries.begin(), entries.end());
    end += sizeof(head) + head.bytes;
    return true;
  }

  void continue_or_begin() {
    if (read_source(open, file) != source) {
      begin();
      return;
    }
    end = sizeof(Head) + source.size();
    const uint64_t size = size_of(open, file);
    while (end + sizeof(BlockHead) <= size && take_block(size)) {
    }
    if (ftruncate(open.get(), static_cast<off_t>(end)) != 0) {
      fail_write(file, errno);
    }
    seek(end);
  }
};

PixelFileWriter::PixelFileWriter(std::filesystem::path file, std::string source)
    : state_(std::make_unique<State>()) {
  constexpr mode_t for_all = 0666;
  state_->file = std::move(file);
  state_->source = std::move(source);
  state_->open =
      FileDescriptor(::open(state_->file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, for_all));
  if (!state_->open.valid()) {
    fail_write(state_->file, errno);
  }
  state_->continue_or_begin();
}

PixelFileWriter::~PixelFileWriter() = default;

int64_t PixelFileWriter::samples() const { return static_cast<int64_t>(state_->index.size()); }
uint64_t PixelFileWriter::bytes() const { return state_->end; }

void PixelFileWriter::append(const std::vector<OwnedImage>& block) {
  std::vector<Entry> entries;
  uint64_t offset = state_->end + sizeof(BlockHead) + block.size() * sizeof(Entry);
  for (const OwnedImage& image : block) {
    const Entry entry{.offset = offset,
                      .height = static_cast<uint32_t>(image.shape.height),
                      .width = static_cast<uint32_t>(image.shape.width),
                      .channels = static_cast<uint32_t>(image.shape.channels)};
    entries.push_back(entry);
    offset += entry.bytes();
  }
  std::vector<uint8_t> content(offset - state_->end - sizeof(BlockHead));
  std::memcpy(content.data(), entries.data(), entries.size() * sizeof(Entry));
  uint8_t* next = content.data() + entries.size() * sizeof(Entry);
  for (const OwnedImage& image : block) {
    next = std::copy(image.pixels.begin(), image.pixels.end(), next);
  }
  const BlockHead head{.samples = block.size(),
                       .bytes = content.size(),
                       .hash = hash_of(content.data(), content.size())};
  write_all(state_->open, &head, sizeof(head), state_->file);
  write_all(state_->open, content.data(), content.size(), state_->file);
  state_->index.insert(state_->index.end(), entries.begin(), entries.end());
  state_->end = offset;
}

void PixelFileWriter::finish() {
  const std::vector<Entry>& index = state_->index;
  const size_t bytes = index.size() * sizeof(Entry);
  const Tail tail{.index_offset = state_->end,
                  .samples = index.size(),
                  .index_hash = hash_of(index.data(), bytes)};
  write_all(state_->open, index.data(), bytes, state_->file);
  write_all(state_->open, &tail, sizeof(tail), state_->file);
  sync(state_->open, state_->file);
  state_->end += bytes + sizeof(tail);
}

struct PixelFile::State {
  const uint8_t* memory = nullptr;
  size_t size = 0;
  std::vector<Entry> index;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (memory != nullptr) {
      munmap(const_cast<uint8_t*>(memory), size);  // NOLINT: it takes no pointer to const
    }
  }
};

PixelFile::PixelFile(const std::filesystem::path& file, const std::string& source)
    : state_(std::make_unique<State>()) {
  const FileDescriptor open = open_for_reading(file);
  if (read_source(open, file) != source) {
    fail_damaged(file, "they are of other data, or of another kind of machine");
  }
  const uint64_t size = size_of(open, file);
  Tail tail;
  if (size < sizeof(Head) + sizeof(Tail) || !read_record(open, size - sizeof(Tail), file, tail) ||
      tail.magic != tail_magic || tail.samples > size / sizeof(Entry) ||
      tail.index_offset != size - sizeof(Tail) - tail.samples * sizeof(Entry)) {
    fail_damaged(file, "they are not complete");
  }
  state_->index.resize(tail.samples);
  const size_t bytes = state_->index.size() * sizeof(Entry);
  if (read_at(open, state_->index.data(), bytes, tail.index_offset, file) != bytes ||
      hash_of(state_->index.data(), bytes) != tail.index_hash) {
    fail_damaged(file, "the index is damaged");
  }
  for (const Entry& entry : state_->index) {
    if (!entry.lies_before(tail.index_offset)) {
      fail_damaged(file, "the index is damaged");
    }
  }
  void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, open.get(), 0);
  if (memory == MAP_FAILED) {
    fail_read(file, errno);
  }
  state_->memory = static_cast<const uint8_t*>(memory);
  state_->size = size;
}

PixelFile::~PixelFile() = default;

int64_t PixelFile::samples() const { return static_cast<int64_t>(state_->index.size()); }

Image PixelFile::image(int64_t index) const {
  const Entry& entry = state_->index[static_cast<size_t>(index)];
  return {{entry.channels, entry.height, entry.width}, state_->memory + entry.offset, nullptr};
}

PixelFileHead read_pixel_file_head(const std::filesystem::path& file) {
  const FileDescriptor open = open_for_reading(file);
  const std::optional<std::string> source = read_source(open, file);
  if (!source) {
    fail_damaged(file, "they are of another kind of machine, or no pixels at all");
  }
  PixelFileHead found{.source = *source};
  const uint64_t size = size_of(open, file);
  Tail tail;
  if (size >= sizeof(Tail) && read_record(open, size - sizeof(Tail), file, tail) &&
      tail.magic == tail_magic && tail.samples <= size / sizeof(Entry)) {
    found.complete = true;
    found.samples = static_cast<int64_t>(tail.samples);
    return found;
  }
  uint64_t place = sizeof(Head) + source->size();
  BlockHead head;
  while (read_record(open, place, file, head) && head.magic == block_magic &&
         head.bytes <= size - place - sizeof(head) && head.samples <= head.bytes / sizeof(Entry)) {
    found.samples += static_cast<int64_t>(head.samples);
    place += sizeof(head) + head.bytes;
  }
  return found;
}

}  // namespace bissl::host
