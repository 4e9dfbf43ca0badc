// A transform that blackens a random square (DeVries and Taylor 2017): a step of any chain.

#include "bissl/error.h"
#include "bissl/plugin.h"
#include "bissl/transform.h"

#include <algorithm>

namespace bissl {
namespace {

struct Options {
  int64_t side = 8;
  double probability = 0.5;
  double value = 0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("probability", &Options::probability, "probability of a square")
      .at_least(0)
      .at_most(1);
  schema.add("side", &Options::side, "height and width of the square")
      .at_least(1)
      .unit("pixels")
      .only_above("probability", 0);
  schema
      .add("value", &Options::value,
           "what the square is filled with; before `normalize` 0 is black")
      .only_above("probability", 0);
  return schema;
}

// It changes float planes in place, so it stands behind the step that makes them.
class Cutout : public PlaneTransform {
 public:
  explicit Cutout(const Options& options) : options_(options) {}

  ImageShape output_shape(const ImageShape& input) const override {
    if (options_.side > std::min(input.height, input.width)) {
      fail_input("side = {} does not fit into {}x{} pixels", options_.side, input.height,
                 input.width);
    }
    return input;
  }

 protected:
  ViewGeometry change(Planes image, RandomStream& stream) const override {
    const auto [channels, height, width] = image.shape;
    const int64_t side = options_.side;
    if (stream.chance(options_.probability)) {
      const auto top = int64_t(stream.below(uint64_t(height - side + 1)));
      const auto left = int64_t(stream.below(uint64_t(width - side + 1)));
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t y = top; y < top + side; ++y) {
          std::fill_n(image.plane(c) + y * width + left, side, float(options_.value));
        }
      }
    }
    return {};  // nothing moves
  }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("cutout", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Transform, Cutout>(
      {.name = "cutout", .summary = "blackens a random square", .source = "arXiv 1708.04552"},
      schema());
}
