#pragma once

#include "bissl/image.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

// The file of decoded pixels: a head, then blocks of samples, then the index of all samples, then
// its tail. Numbers are 64-bit, in the machine's order of bytes; the head tells another machine's
// file. Each block and the index carry a hash, so what an interrupted process leaves is known block
// by block.

/// An image whose pixels are its own.
struct OwnedImage {
  ImageShape shape;
  std::vector<uint8_t> pixels;
};

/// Writes a file of pixels block by block, or continues one. One process at a time.
class PixelFileWriter {
 public:
  /// Opens `file`, which need not exist, for pixels of `source`. What is not whole at its end is
  /// cut off; a file of another source, or none of ours, begins anew. Throws Error(run).
  PixelFileWriter(std::filesystem::path file, std::string source);
  ~PixelFileWriter();
  PixelFileWriter(const PixelFileWriter&) = delete;
  PixelFileWriter& operator=(const PixelFileWriter&) = delete;

  /// The samples that are in it.
  int64_t samples() const;
  uint64_t bytes() const;

  /// Appends the samples that follow.
  void append(const std::vector<OwnedImage>& block);
  /// Appends index and tail, and makes the file durable; nothing may be appended after it.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A complete file of pixels, memory-mapped.
class PixelFile {
 public:
  /// Throws Error(run) where the file is not complete, is of another source or another machine, or
  /// its index is damaged.
  PixelFile(const std::filesystem::path& file, const std::string& source);
  ~PixelFile();
  PixelFile(const PixelFile&) = delete;
  PixelFile& operator=(const PixelFile&) = delete;

  int64_t samples() const;
  /// Its pixels lie in the file's memory, without an owner. From several threads at once.
  Image image(int64_t index) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What a file's head says, for lists.
struct PixelFileHead {
  std::string source;
  int64_t samples = 0;  ///< in blocks that seem whole; their content is not read
  bool complete = false;
};
/// Throws Error(run) for what is no such file.
PixelFileHead read_pixel_file_head(const std::filesystem::path& file);

}  // namespace bissl::host
