// The first image of a GIF by giflib, on a canvas of the size that the file says.

#include "raster.h"

#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

namespace bissl {
namespace {

struct Source {
  std::string_view bytes;
  size_t position = 0;
};

int read_bytes(GifFileType* file, GifByteType* target, int count) {
  auto* source = static_cast<Source*>(file->UserData);
  const size_t left = source->bytes.size() - source->position;
  const size_t got = std::min(left, static_cast<size_t>(std::max(count, 0)));
  std::memcpy(target, source->bytes.data() + source->position, got);
  source->position += got;
  return static_cast<int>(got);
}

struct Close {
  void operator()(GifFileType* file) const { DGifCloseFile(file, nullptr); }
};
using File = std::unique_ptr<GifFileType, Close>;

[[noreturn]] void fail(const Source& source, int code) {
  if (source.position == source.bytes.size()) {
    fail_input("GIF: is cut short: ends after {} bytes", source.bytes.size());
  }
  const char* text = GifErrorString(code);
  fail_input("GIF: cannot be decoded: {}", text == nullptr ? "its data is damaged" : text);
}

void require(int result, const File& file, const Source& source) {
  if (result != GIF_OK) {
    fail(source, file->Error);
  }
}

/// The transparent colour that an extension names, −1 if it names none; the extension is read to
/// its end.
int read_extension(const File& file, const Source& source) {
  int code = 0;
  GifByteType* block = nullptr;
  require(DGifGetExtension(file.get(), &code, &block), file, source);
  int transparent = -1;
  if (code == GRAPHICS_EXT_FUNC_CODE && block != nullptr && block[0] >= 4 && (block[1] & 1) != 0) {
    transparent = block[4];
  }
  while (block != nullptr) {
    require(DGifGetExtensionNext(file.get(), &block), file, source);
  }
  return transparent;
}

/// Reads on to the first image and returns the transparent colour, −1 for none.
int find_image(const File& file, const Source& source) {
  int transparent = -1;
  while (true) {
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    require(DGifGetRecordType(file.get(), &record), file, source);
    if (record == IMAGE_DESC_RECORD_TYPE) {
      return transparent;
    }
    if (record == TERMINATE_RECORD_TYPE) {
      fail_input("GIF: has no image");
    }
    if (record == EXTENSION_RECORD_TYPE) {
      const int found = read_extension(file, source);
      transparent = found >= 0 ? found : transparent;
    }
  }
}

/// The rows of an interlaced image in the order in which they are stored.
std::vector<int> row_order(int height, bool interlaced) {
  std::vector<int> rows;
  rows.reserve(static_cast<size_t>(height));
  struct Pass {
    int first;
    int step;
  };
  const std::array<Pass, 4> passes{{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
  for (const Pass& pass :
       interlaced ? passes : std::array<Pass, 4>{{{0, 1}, {height, 1}, {height, 1}, {height, 1}}}) {
    for (int row = pass.first; row < height; row += pass.step) {
      rows.push_back(row);
    }
  }
  return rows;
}

/// Red, green and blue of an index; grays where the file has no colours.
std::array<uint8_t, 3> colour_of(const ColorMapObject* colours, int index) {
  if (colours == nullptr || index >= colours->ColorCount) {
    const auto gray = static_cast<uint8_t>(index);
    return {gray, gray, gray};
  }
  const GifColorType& colour = colours->Colors[index];
  return {colour.Red, colour.Green, colour.Blue};
}

void write_row(const std::vector<GifPixelType>& indices, const ColorMapObject* colours,
               uint8_t* target) {
  for (const GifPixelType index : indices) {
    const std::array<uint8_t, 3> colour = colour_of(colours, index);
    target = std::copy(colour.begin(), colour.end(), target);
  }
}

}  // namespace

Raster decode_gif(std::string_view bytes, const ImageOptions& options) {
  Source source{bytes};
  int code = 0;
  const File file(DGifOpen(&source, read_bytes, &code));
  if (!file) {
    fail(source, code);
  }
  const int transparent = find_image(file, source);
  require(DGifGetImageDesc(file.get()), file, source);
  const GifImageDesc& image = file->Image;
  // An image may reach beyond the canvas that the file names, as in Pillow.
  const int64_t width = std::max<int64_t>(file->SWidth, int64_t{image.Left} + image.Width);
  const int64_t height = std::max<int64_t>(file->SHeight, int64_t{image.Top} + image.Height);
  require_size(width, height, options);
  if (image.Width < 1 || image.Height < 1) {
    fail_input("GIF: its first image is of {} x {} pixels; expected at least 1 x 1", image.Width,
               image.Height);
  }
  const ColorMapObject* colours = image.ColorMap != nullptr ? image.ColorMap : file->SColorMap;
  Raster raster = make_raster({3, height, width});
  const std::vector<GifPixelType> around(static_cast<size_t>(width),
                                         static_cast<GifPixelType>(std::max(transparent, 0)));
  for (int64_t y = 0; y < height; ++y) {
    write_row(around, colours, raster.row(y));
  }
  std::vector<GifPixelType> indices(static_cast<size_t>(image.Width));
  for (const int row : row_order(image.Height, image.Interlace)) {
    require(DGifGetLine(file.get(), indices.data(), image.Width), file, source);
    write_row(indices, colours, raster.row(image.Top + row) + 3 * image.Left);
  }
  return raster;
}

}  // namespace bissl
