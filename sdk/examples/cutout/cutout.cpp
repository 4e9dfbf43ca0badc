// An augmentation that blackens a random square (DeVries and Taylor 2017).

#include "bissl/augmentation.h"
#include "bissl/error.h"
#include "bissl/plugin.h"

#include <algorithm>
#include <memory>

namespace {

using namespace bissl;

struct Options {
  int64_t side = 8;
  double probability = 0.5;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("side", &Options::side, "height and width of the square").at_least(1).unit("pixels");
  schema.add("probability", &Options::probability, "probability of a square")
      .at_least(0)
      .at_most(1);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.probability == 0 && options.side != Options{}.side) {
      findings.push_back(
          {Finding::Severity::warning, "side", "has no effect with probability = 0"});
    }
  });
  return schema;
}

class Cutout : public Augmentation {
 public:
  explicit Cutout(const Options& options) : options_(options) {}

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    if (options_.side > std::min(input.height, input.width)) {
      fail_input("side = {} does not fit into an image of {}x{} pixels", options_.side,
                 input.height, input.width);
    }
    return input;
  }

  ViewGeometry apply(const Image& image, int64_t /*view*/, RandomStream& stream,
                     std::span<float> output) const override {
    const auto [channels, height, width] = image.shape;
    const int64_t side = options_.side;
    const bool cut = stream.chance(options_.probability);
    const auto top = int64_t(stream.below(uint64_t(height - side + 1)));
    const auto left = int64_t(stream.below(uint64_t(width - side + 1)));
    size_t place = 0;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          const bool inside = cut && y >= top && y < top + side && x >= left && x < left + side;
          const uint8_t pixel = image.pixels[(y * width + x) * channels + c];
          output[place++] = inside ? -1.0F : float(pixel) / 127.5F - 1.0F;
        }
      }
    }
    return {};
  }

 private:
  Options options_;
};

}  // namespace

BISSL_PLUGIN("cutout", "1.0.0", "MIT", registrar) {
  registrar.add<Augmentation>(
      {.name = "cutout", .summary = "blackens a random square", .source = "arXiv 1708.04552"},
      schema(),
      [](const Options& options, const AugmentationContext&) -> std::shared_ptr<Augmentation> {
        return std::make_shared<Cutout>(options);
      });
}
