#include "both_views.h"
#include "components.h"
#include "crop.h"
#include "view_format.h"

#include "bissl/augmentation.h"
#include "bissl/crops.h"
#include "bissl/planned_view.h"

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
class Supervised : public Augmentation, public PlannedViews {
 public:
  explicit Supervised(const Options& options)
      : options_(options), range_(options.part.range()), format_(options.format) {}

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    return format_.shape(input);
  }

  bool takes(PixelType /*type*/) const override { return true; }

  void* capability(std::string_view id) override { return provide<PlannedViews>(*this, id); }

  ViewGeometry apply(const Image& image, int64_t /*view*/, RandomStream& stream,
                     std::span<float> output) const override {
    const Planes view = format_.planes(image.shape, output);
    const Draws draws = draw(image.shape, view.shape, stream);
    return change(view, draws, resized_crop(image, draws.box, view));
  }

  ViewGeometry plan(int64_t /*view*/, RandomStream& stream, PlannedView& planned) const override {
    const ImageShape shape = format_.shape(planned.image());
    const Draws draws = draw(planned.image(), shape, stream);
    return change(planned, draws, planned.resized_crop(draws.box, shape));
  }

 private:
  /// Everything random about one view, and what follows from it.
  struct Draws {
    bool flip = false;
    int64_t down = 0;
    int64_t right = 0;
    Box box;
  };

  // First the flip, then the crop.
  Draws draw(const ImageShape& image, const ImageShape& view, RandomStream& stream) const {
    Draws draws;
    draws.flip = stream.chance(options_.flip_probability);
    if (is_padded()) {
      const auto positions = static_cast<uint64_t>(2 * options_.padding + 1);
      draws.down = static_cast<int64_t>(stream.below(positions)) - options_.padding;
      draws.right = static_cast<int64_t>(stream.below(positions)) - options_.padding;
    }
    draws.box = is_padded() ? centered_box(image, view) : random_box(image, range_, stream);
    return draws;
  }

  /// Moves and flips the part of the image that was drawn, `cropped`.
  template <class View>
  ViewGeometry change(View& view, const Draws& draws, const ViewGeometry& cropped) const {
    const auto width = static_cast<double>(shape_of(view).width);
    ViewGeometry geometry = cropped;
    if (is_padded()) {
      // Cutting a view out of the image with a black frame is moving it by up to the frame's width.
      shift(view, draws.down, draws.right);
      geometry = geometry * ViewGeometry{.x0 = -static_cast<double>(draws.right),
                                         .y0 = -static_cast<double>(draws.down)};
    }
    if (draws.flip) {
      flip_horizontal(view);
      geometry = geometry * flipped(width);
    }
    format_.normalize(view);
    return geometry;
  }

  bool is_padded() const { return options_.crop == "padded"; }

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
