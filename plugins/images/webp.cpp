// WebP by libwebp: the image, or the first frame of an animation on its canvas.

#include "raster.h"

#include <webp/decode.h>
#include <webp/demux.h>

#include <cstring>
#include <memory>
#include <new>
#include <string>

namespace bissl {
namespace {

std::string text_of(VP8StatusCode code) {
  switch (code) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "is cut short";
    case VP8_STATUS_BITSTREAM_ERROR:
      return "cannot be decoded: its data is damaged";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "cannot be decoded: it uses a feature that libwebp does not know";
    default:
      return fmt::format("cannot be decoded: libwebp says {}", static_cast<int>(code));
  }
}

/// Throws std::bad_alloc where as much memory as the decoder takes cannot be had: libwebp 1.5 says
/// of damaged transparency, too, that memory is out.
void require_memory(int64_t width, int64_t height) {
  constexpr int64_t bytes_of_pixel = 8;
  void* const trial = WebPMalloc(static_cast<size_t>(width * height * bytes_of_pixel));
  if (trial == nullptr) {
    throw std::bad_alloc();
  }
  WebPFree(trial);
}

void require(VP8StatusCode code, const WebPBitstreamFeatures& image) {
  if (code == VP8_STATUS_OUT_OF_MEMORY) {
    require_memory(image.width, image.height);
    code = VP8_STATUS_BITSTREAM_ERROR;
  }
  if (code != VP8_STATUS_OK) {
    fail_input("WebP: {}", text_of(code));
  }
}

const uint8_t* data(std::string_view bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

void decode_still(std::string_view bytes, WebPDecoderConfig& config, const Raster& raster) {
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = raster.pixels.get();
  config.output.u.RGBA.stride = static_cast<int>(raster.shape.width * 3);
  config.output.u.RGBA.size = static_cast<size_t>(raster.shape.elements());
  require(WebPDecode(data(bytes), bytes.size(), &config), config.input);
}

void decode_first_frame(std::string_view bytes, const Raster& raster) {
  struct Delete {
    void operator()(WebPAnimDecoder* decoder) const { WebPAnimDecoderDelete(decoder); }
  };
  WebPAnimDecoderOptions options;
  if (WebPAnimDecoderOptionsInit(&options) == 0) {
    fail_input("WebP: cannot be decoded: libwebpdemux is of another version");
  }
  options.color_mode = MODE_RGBA;
  const WebPData file{data(bytes), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, Delete> decoder(WebPAnimDecoderNew(&file, &options));
  WebPAnimInfo info{};
  uint8_t* canvas = nullptr;
  int time = 0;
  if (!decoder || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0 ||
      info.canvas_width != raster.shape.width || info.canvas_height != raster.shape.height ||
      WebPAnimDecoderGetNext(decoder.get(), &canvas, &time) == 0) {
    fail_input(
        "WebP: the first frame of its animation cannot be decoded: its data is damaged or "
        "cut short");
  }
  uint8_t* target = raster.pixels.get();
  for (int64_t i = 0; i < raster.shape.height * raster.shape.width; ++i, canvas += 4, target += 3) {
    std::memcpy(target, canvas, 3);
  }
}

int orientation_of(std::string_view bytes) {
  struct Delete {
    void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
  };
  const WebPData file{data(bytes), bytes.size()};
  const std::unique_ptr<WebPDemuxer, Delete> demuxer(WebPDemux(&file));
  WebPChunkIterator chunk;
  if (!demuxer || WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &chunk) == 0) {
    return 1;
  }
  const int orientation =
      exif_orientation({reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size});
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

}  // namespace

Raster decode_webp(std::string_view bytes, const ImageOptions& options) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) {
    fail_input("WebP: cannot be decoded: libwebp is of another version");
  }
  require(WebPGetFeatures(data(bytes), bytes.size(), &config.input), config.input);
  require_size(config.input.width, config.input.height, options);
  Raster raster = make_raster({3, config.input.height, config.input.width});
  if (config.input.has_animation != 0) {
    decode_first_frame(bytes, raster);
  } else {
    decode_still(bytes, config, raster);
  }
  raster.orientation = orientation_of(bytes);
  return raster;
}

}  // namespace bissl
