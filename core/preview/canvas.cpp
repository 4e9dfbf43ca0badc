#include "preview/canvas.h"

#include "bissl/error.h"

#include <spng.h>

#include <cstdlib>
#include <memory>

namespace bissl::host {

Canvas::Canvas(int64_t height, int64_t width, uint8_t gray)
    : height_(height), width_(width), pixels_(static_cast<size_t>(3 * height * width), gray) {}

std::string Canvas::png() const {
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> encoder(spng_ctx_new(SPNG_CTX_ENCODER),
                                                               spng_ctx_free);
  const auto require = [](int code) {
    if (code != 0) {
      fail_run("libspng cannot write a picture: {}", spng_strerror(code));
    }
  };
  if (!encoder) {
    fail_run("libspng cannot write a picture: not enough memory");
  }
  require(spng_set_option(encoder.get(), SPNG_ENCODE_TO_BUFFER, 1));
  spng_ihdr header{};
  header.width = static_cast<uint32_t>(width_);
  header.height = static_cast<uint32_t>(height_);
  header.bit_depth = 8;
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  require(spng_set_ihdr(encoder.get(), &header));
  require(spng_encode_image(encoder.get(), pixels_.data(), pixels_.size(), SPNG_FMT_PNG,
                            SPNG_ENCODE_FINALIZE));
  size_t size = 0;
  int code = 0;
  const std::unique_ptr<void, void (*)(void*)> bytes(
      spng_get_png_buffer(encoder.get(), &size, &code), std::free);
  require(code);
  return {static_cast<const char*>(bytes.get()), size};
}

}  // namespace bissl::host
