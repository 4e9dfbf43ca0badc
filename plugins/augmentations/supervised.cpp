#include "components.h"
#include "crop.h"
#include "view_format.h"

#include "bissl/augmentation.h"
#include "bissl/crops.h"
#include "bissl/image_operations.h"

namespace bissl {
namespace {

struct Options {
  ViewFormatOptions format;
  std::string crop = "resized";
  CropOptions part{.scale = {0.5, 1.0}};
  int64_t padding = 4;
  double flip_probability = 0.5;
};

/// A random crop and a random flip.
class Supervised : public Augmentation {
 public:
  explicit Supervised(const Options& options)
      : options_(options), range_(options.part.range()), format_(options.format) {}

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    return format_.shape(input);
  }

  bool takes(PixelType /*type*/) const override { return true; }

  // Draws: flip, then the crop.
  ViewGeometry apply(const Image& image, int64_t /*view*/, RandomStream& stream,
                     std::span<float> output) const override {
    const Planes view = format_.planes(image.shape, output);
    const bool flip = stream.chance(options_.flip_probability);
    ViewGeometry geometry =
        options_.crop == "padded"
            ? padded_crop(image, stream, view)
            : resized_crop(image, random_box(image.shape, range_, stream), view);
    if (flip) {
      flip_horizontal(view);
      geometry = geometry * flipped(static_cast<double>(view.shape.width));
    }
    format_.normalize(view);
    return geometry;
  }

 private:
  // Cutting a view out of the image with a black frame is moving it by up to the frame's width.
  ViewGeometry padded_crop(const Image& image, RandomStream& stream, Planes view) const {
    const auto positions = static_cast<uint64_t>(2 * options_.padding + 1);
    const int64_t down = static_cast<int64_t>(stream.below(positions)) - options_.padding;
    const int64_t right = static_cast<int64_t>(stream.below(positions)) - options_.padding;
    const ViewGeometry geometry = resized_crop(image, centered_box(image.shape, view.shape), view);
    shift(view, down, right);
    return geometry *
           ViewGeometry{.x0 = -static_cast<double>(right), .y0 = -static_cast<double>(down)};
  }

  Options options_;
  CropRange range_;
  ViewFormat format_;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("crop", &Options::crop,
           "a part of random size scaled to the view, or the view moved over a black frame")
      .choices({"resized", "padded"});
  schema.embed(&Options::part, crop_schema([](ParameterBuilder parameter) {
    parameter.only_with("crop", "resized");
  }));
  schema.add("padding", &Options::padding, "width of the black frame of crop = \"padded\"")
      .at_least(0)
      .at_most(4096)
      .unit("pixels")
      .only_with("crop", "padded");
  schema.add("flip_probability", &Options::flip_probability, "probability of a left-right flip")
      .at_least(0)
      .at_most(1);
  schema.embed(&Options::format, view_format_schema());
  return schema;
}

}  // namespace

void add_supervised(Registrar& registrar) {
  registrar.add<Augmentation, Supervised>(
      {.name = "supervised",
       .summary = "random crop and left-right flip for training with labels",
       .source = ""},
      schema());
}

}  // namespace bissl
