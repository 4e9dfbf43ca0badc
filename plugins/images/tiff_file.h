#pragma once

#include <tiffio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace bissl::tiff_file {

/// A file in memory, and what the library has to say of it.
struct Source {
  std::string_view bytes;
  uint64_t position = 0;  ///< of the next byte that is read
  std::string message;    ///< the first error; empty: none
};

/// Closes a file of the library.
struct CloseFile {
  void operator()(TIFF* file) const { TIFFClose(file); }
};

/// The library's handle of a file.
using File = std::unique_ptr<TIFF, CloseFile>;

/// Throws Error(ErrorKind::input) with what the library has said of the file.
[[noreturn]] void fail(const Source& source);

/// Opens the file in memory, which must outlive the result. The library takes at most
/// `most_bytes` of memory at once. Throws Error(ErrorKind::input) for what is no TIFF.
File open(Source& source, int64_t most_bytes);

/// What the directory says of the pixels.
struct Layout {
  int64_t width = 0;
  int64_t height = 0;
  int64_t samples = 1;  ///< a pixel
  uint16_t bits = 1;    ///< a sample
  uint16_t format = SAMPLEFORMAT_UINT;
  uint16_t meaning = PHOTOMETRIC_MINISBLACK;
  bool apart = false;  ///< a plane for each sample
  bool tiled = false;
  /// Of the samples behind those that `meaning` names: whether there is an alpha among them, and
  /// whether the colours are multiplied by it.
  bool alpha = false;
  bool multiplied = false;
  /// Of a tile, or of a strip of the most rows.
  int64_t part_width = 0;
  int64_t part_height = 0;
};

/// A tag of the file that has a default where it is missing.
template <class T>
T tag_of(const File& file, uint32_t tag, T missing) {
  T value = missing;
  return TIFFGetFieldDefaulted(file.get(), tag, &value) == 1 ? value : missing;
}

/// The layout of the first directory.
Layout layout_of(const File& file);

}  // namespace bissl::tiff_file
