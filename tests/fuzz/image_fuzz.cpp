// Image files: a target for each format, whose bytes are read as that format whatever they begin
// with.

#include "raster.h"
#include "targets.h"

#include <new>

namespace bissl::host::test {
namespace {

/// Images of more pixels would only make a fuzzer slow.
constexpr int64_t most_pixels = 1 << 18;

void fuzz_decoder(Raster (*decode)(std::string_view, const ImageOptions&), std::string_view bytes) {
  for (const int64_t size : {0, 7}) {
    refusing([&] {
      const ImageOptions options{
          .channels = "as-file", .size = size, .max_pixels = most_pixels, .range = {0, 1000}};
      const Raster raster = decode(bytes, options);
      const ImageShape& shape = raster.shape;
      promise(shape.channels > 0 && shape.height > 0 && shape.width > 0 &&
                  shape.height * shape.width <= most_pixels,
              "an image has pixels, and no more than are allowed");
      unsigned sum = 0;
      for (int64_t i = 0; i < shape.elements(); ++i) {
        sum += raster.pixels[i];
      }
      promise(sum <= 255U * static_cast<unsigned>(shape.elements()), "all pixels can be read");
      promise(raster.orientation >= 1 && raster.orientation <= 8, "orientations are 1 to 8");
    });
  }
}

}  // namespace

void fuzz_jpeg(std::string_view bytes) { fuzz_decoder(decode_jpeg, bytes); }
void fuzz_png(std::string_view bytes) {
  fuzz_decoder(decode_png, bytes);
  refusing([&] {
    const Raster mask = decode_png_values(bytes, most_pixels);
    promise(mask.shape.channels == 1 && !mask.wide() && mask.area() <= most_pixels,
            "a mask has one channel of 8 bits");
    unsigned sum = 0;
    for (int64_t i = 0; i < mask.area(); ++i) {
      sum += mask.pixels[i];
    }
    promise(sum <= 255U * static_cast<unsigned>(mask.area()), "all values can be read");
  });
}
void fuzz_webp(std::string_view bytes) { fuzz_decoder(decode_webp, bytes); }
void fuzz_tiff(std::string_view bytes) { fuzz_decoder(decode_tiff, bytes); }
void fuzz_bmp(std::string_view bytes) { fuzz_decoder(decode_bmp, bytes); }
void fuzz_gif(std::string_view bytes) { fuzz_decoder(decode_gif, bytes); }

/// Behind the magic number, which the caller has looked at.
void fuzz_pnm(std::string_view bytes) {
  if (bytes.size() >= 3) {
    fuzz_decoder(decode_pnm, bytes);
  }
}

}  // namespace bissl::host::test
