// Image files: a target for each format, whose bytes are read as that format whatever they begin
// with.

#include "raster.h"
#include "targets.h"

#include <new>

namespace bissl::host::test {
namespace {

/// Images of more pixels would only make a fuzzer slow.
constexpr int64_t most_pixels = 1 << 18;

void promise_readable(const uint8_t* pixels, int64_t bytes) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < bytes; ++i) {
    sum += pixels[i];
  }
  promise(sum <= 255U * static_cast<uint64_t>(bytes), "all pixels can be read");
}

using Decoder = Raster (*)(std::string_view, const ImageOptions&);

void decode_as(Decoder decode, std::string_view bytes, const ImageOptions& options) {
  refusing([&] {
    const Raster raster = decode(bytes, options);
    const ImageShape& shape = raster.shape;
    promise(shape.channels > 0 && shape.height > 0 && shape.width > 0 &&
                shape.height * shape.width <= most_pixels,
            "an image has pixels, and no more than are allowed");
    promise(options.depth == 16 || !raster.wide(), "16 bits are made where they are asked for");
    promise_readable(raster.pixels.get(), raster.area() * raster.pixel_size());
    promise(raster.orientation >= 1 && raster.orientation <= 8, "orientations are 1 to 8");
  });
}

/// As a dataset reads the file: by what its first bytes show, turned, scaled, in channels and bits.
void decode_whole(std::string_view bytes, const ImageOptions& options) {
  refusing([&] {
    const Image image = decode_image(bytes, "input", options);
    promise(image.shape.height > 0 && image.shape.width > 0 &&
                image.shape.height * image.shape.width <= most_pixels,
            "an image has pixels, and no more than are allowed");
    promise(options.channels != "rgb" || image.shape.channels == 3, "colours are three");
    promise((image.type == PixelType::uint16) == (options.depth == 16), "bits are as asked for");
    promise_readable(image.pixels, image.bytes());
  });
}

void fuzz_decoder(Decoder decode, std::string_view bytes) {
  for (const int64_t depth : {8, 16}) {
    for (const int64_t size : {0, 7}) {
      const ImageOptions options{.channels = "as-file",
                                 .size = size,
                                 .max_pixels = most_pixels,
                                 .depth = depth,
                                 .range = {0, 1000}};
      decode_as(decode, bytes, options);
      decode_whole(bytes, options);
    }
    decode_whole(bytes, {.channels = "rgb", .max_pixels = most_pixels, .depth = depth});
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
