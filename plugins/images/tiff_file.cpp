#include "tiff_file.h"

#include "bissl/error.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>

namespace bissl::tiff_file {
namespace {

tmsize_t read_bytes(thandle_t handle, void* target, tmsize_t count) {
  auto* source = static_cast<Source*>(handle);
  const uint64_t size = source->bytes.size();
  const uint64_t left = source->position < size ? size - source->position : 0;
  const uint64_t got =
      std::min<uint64_t>(left, static_cast<uint64_t>(std::max<tmsize_t>(count, 0)));
  if (got > 0) {
    std::memcpy(target, source->bytes.data() + source->position, got);
  }
  source->position += got;
  return static_cast<tmsize_t>(got);
}

tmsize_t write_nothing(thandle_t /*handle*/, void* /*bytes*/, tmsize_t /*count*/) { return -1; }

toff_t seek(thandle_t handle, toff_t offset, int whence) {
  auto* source = static_cast<Source*>(handle);
  const uint64_t base = whence == SEEK_CUR   ? source->position
                        : whence == SEEK_END ? source->bytes.size()
                                             : 0;
  source->position = base + offset;
  return source->position;
}

int close_nothing(thandle_t /*handle*/) { return 0; }
toff_t size_of(thandle_t handle) { return static_cast<Source*>(handle)->bytes.size(); }

/// Without a mapping the library copies what it reads.
int map_nothing(thandle_t /*handle*/, void** /*base*/, toff_t* /*size*/) { return 0; }
void unmap_nothing(thandle_t /*handle*/, void* /*base*/, toff_t /*size*/) {}

int keep_message(TIFF* /*file*/, void* data, const char* /*module*/, const char* format,
                 va_list arguments) {
  char text[256];
  std::vsnprintf(text, sizeof text, format, arguments);
  auto* source = static_cast<Source*>(data);
  if (source->message.empty()) {
    source->message = text;
  }
  return 1;
}

int ignore_message(TIFF* /*file*/, void* /*data*/, const char* /*module*/, const char* /*format*/,
                   va_list /*arguments*/) {
  return 1;
}

}  // namespace

void fail(const Source& source) {
  fail_input("TIFF: cannot be decoded: {}",
             source.message.empty() ? "its data is damaged" : source.message);
}

File open(Source& source, int64_t most_bytes) {
  struct FreeOptions {
    void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
  };
  const std::unique_ptr<TIFFOpenOptions, FreeOptions> options(TIFFOpenOptionsAlloc());
  if (!options) {
    throw std::bad_alloc();
  }
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), most_bytes);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_message, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), ignore_message, nullptr);
  File file(TIFFClientOpenExt("image", "rm", &source, read_bytes, write_nothing, seek,
                              close_nothing, size_of, map_nothing, unmap_nothing, options.get()));
  if (!file) {
    fail(source);
  }
  return file;
}

Layout layout_of(const File& file) {
  Layout layout;
  layout.width = tag_of<uint32_t>(file, TIFFTAG_IMAGEWIDTH, 0);
  layout.height = tag_of<uint32_t>(file, TIFFTAG_IMAGELENGTH, 0);
  layout.samples = tag_of<uint16_t>(file, TIFFTAG_SAMPLESPERPIXEL, 1);
  layout.bits = tag_of<uint16_t>(file, TIFFTAG_BITSPERSAMPLE, 1);
  layout.format = tag_of<uint16_t>(file, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  layout.meaning = tag_of<uint16_t>(
      file, TIFFTAG_PHOTOMETRIC,
      layout.samples >= 3 ? uint16_t{PHOTOMETRIC_RGB} : uint16_t{PHOTOMETRIC_MINISBLACK});
  layout.apart =
      tag_of<uint16_t>(file, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE &&
      layout.samples > 1;
  uint16_t extra = 0;
  uint16_t* kinds = nullptr;
  if (TIFFGetFieldDefaulted(file.get(), TIFFTAG_EXTRASAMPLES, &extra, &kinds) == 1 && extra > 0 &&
      kinds != nullptr) {
    layout.multiplied = kinds[0] == EXTRASAMPLE_ASSOCALPHA;
    layout.alpha = layout.multiplied || kinds[0] == EXTRASAMPLE_UNASSALPHA;
  }
  layout.tiled = TIFFIsTiled(file.get()) != 0;
  layout.part_width =
      layout.tiled ? tag_of<uint32_t>(file, TIFFTAG_TILEWIDTH, 0) : uint32_t(layout.width);
  layout.part_height = layout.tiled
                           ? tag_of<uint32_t>(file, TIFFTAG_TILELENGTH, 0)
                           : std::min(tag_of<uint32_t>(file, TIFFTAG_ROWSPERSTRIP, UINT32_MAX),
                                      uint32_t(layout.height));
  return layout;
}

}  // namespace bissl::tiff_file
