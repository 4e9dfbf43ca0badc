// Steps that choose, scale or move what a view shows.

#include "both_views.h"
#include "components.h"
#include "crop.h"

#include "bissl/crops.h"
#include "bissl/error.h"
#include "bissl/planned_view.h"
#include "bissl/transform.h"

#include <cmath>

namespace bissl {
namespace {

constexpr int64_t largest_size = 4096;

void require_image(const ImageShape& image) {
  if (image.height < 1 || image.width < 1) {
    fail_input("an image is {} pixels high and {} wide; expected at least 1 each", image.height,
               image.width);
  }
}

Box whole(const ImageShape& image) { return {0, 0, image.height, image.width}; }

struct ResizedCropOptions {
  int64_t size = 0;
  double probability = 1.0;
  std::vector<double> scale{0.08, 1.0};
  std::vector<double> ratio{3.0 / 4.0, 4.0 / 3.0};
};

class ResizedCrop : public PlaneMaker, public PlannedStep {
 public:
  explicit ResizedCrop(const ResizedCropOptions& options)
      : options_(options), range_(crop_range(options.scale, options.ratio)) {}

  bool takes(PixelType /*type*/) const override { return true; }

  ImageShape output_shape(const ImageShape& input) const override {
    require_image(input);
    return options_.size > 0 ? ImageShape{input.channels, options_.size, options_.size} : input;
  }

  void* capability(std::string_view id) override { return provide<PlannedStep>(*this, id); }
  ViewGeometry plan(RandomStream& stream, PlannedView& planned) const override {
    const ImageShape output = output_shape(planned.shape());
    return planned.resized_crop(draw_box(planned.shape(), output, stream), output);
  }

 protected:
  ViewGeometry make(const Image& image, RandomStream& stream, Planes output) const override {
    return resized_crop(image, draw_box(image.shape, output.shape, stream), output);
  }

 private:
  // The box takes a varying number of draws, so it comes last.
  Box draw_box(const ImageShape& image, const ImageShape& output, RandomStream& stream) const {
    const bool random = stream.chance(options_.probability);
    return random ? random_box(image, range_, stream) : centered_box(image, output);
  }

  ResizedCropOptions options_;
  CropRange range_;
};

Schema<ResizedCropOptions> resized_crop_schema() {
  using Options = ResizedCropOptions;
  Schema<Options> schema;
  schema
      .add("size", &Options::size,
           "height and width of the view; 0 keeps the height and width of the image")
      .at_least(0)
      .at_most(largest_size)
      .unit("pixels");
  schema
      .add("probability", &Options::probability,
           "probability of a random part; otherwise the largest one in the middle")
      .at_least(0)
      .at_most(1);
  schema
      .add("scale", &Options::scale,
           "smallest and largest area of the part, as fractions of the image")
      .more_than(0)
      .at_most(1)
      .length(2)
      .only_above("probability", 0);
  schema.add("ratio", &Options::ratio, "smallest and largest width / height of the part")
      .more_than(0)
      .length(2)
      .only_above("probability", 0);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    check_range("scale", options.scale, findings);
    check_range("ratio", options.ratio, findings);
  });
  return schema;
}

struct ResizeOptions {
  int64_t size = 0;
  bool keep_ratio = true;
};

class Resize : public PlaneMaker, public PlannedStep {
 public:
  explicit Resize(const ResizeOptions& options) : options_(options) {}

  bool takes(PixelType /*type*/) const override { return true; }

  ImageShape output_shape(const ImageShape& input) const override {
    require_image(input);
    const int64_t size = options_.size;
    if (!options_.keep_ratio) {
      return {input.channels, size, size};
    }
    const bool upright = input.height >= input.width;
    const int64_t longer =
        upright ? size * input.height / input.width : size * input.width / input.height;
    return upright ? ImageShape{input.channels, longer, size}
                   : ImageShape{input.channels, size, longer};
  }

  void* capability(std::string_view id) override { return provide<PlannedStep>(*this, id); }
  ViewGeometry plan(RandomStream& /*stream*/, PlannedView& planned) const override {
    return planned.resized_crop(whole(planned.shape()), output_shape(planned.shape()));
  }

 protected:
  ViewGeometry make(const Image& image, RandomStream& /*stream*/, Planes output) const override {
    return resized_crop(image, whole(image.shape), output);
  }

 private:
  ResizeOptions options_;
};

Schema<ResizeOptions> resize_schema() {
  Schema<ResizeOptions> schema;
  schema
      .add("size", &ResizeOptions::size,
           "length of the shorter side, or of both where keep_ratio is false")
      .at_least(1)
      .at_most(largest_size)
      .unit("pixels")
      .required();
  schema.add("keep_ratio", &ResizeOptions::keep_ratio,
             "whether the longer side is scaled as the shorter one is");
  return schema;
}

class ToPlanes : public PlaneMaker, public PlannedStep {
 public:
  bool takes(PixelType /*type*/) const override { return true; }

  ImageShape output_shape(const ImageShape& input) const override {
    require_image(input);
    return input;
  }

  void* capability(std::string_view id) override { return provide<PlannedStep>(*this, id); }
  ViewGeometry plan(RandomStream& /*stream*/, PlannedView& planned) const override {
    return planned.resized_crop(whole(planned.shape()), planned.shape());
  }

 protected:
  ViewGeometry make(const Image& image, RandomStream& /*stream*/, Planes output) const override {
    return resized_crop(image, whole(image.shape), output);
  }
};

struct CenterCropOptions {
  int64_t size = 0;
};

class CenterCrop : public PlaneReshaper, public PlannedStep {
 public:
  explicit CenterCrop(const CenterCropOptions& options) : size_(options.size) {}

  ImageShape output_shape(const ImageShape& input) const override {
    if (size_ > input.height || size_ > input.width) {
      fail_input("size = {} does not fit into {}x{} pixels (height, width)", size_, input.height,
                 input.width);
    }
    return {input.channels, size_, size_};
  }

  void* capability(std::string_view id) override { return provide<PlannedStep>(*this, id); }
  ViewGeometry plan(RandomStream& /*stream*/, PlannedView& planned) const override {
    return planned.crop(middle(output_shape(planned.shape()), planned.shape()));
  }

 protected:
  ViewGeometry make(const Planes& image, RandomStream& /*stream*/, Planes output) const override {
    return crop(image, middle(output.shape, image.shape), output);
  }

 private:
  Box middle(const ImageShape& output, const ImageShape& input) const {
    return {first(input.height), first(input.width), output.height, output.width};
  }
  /// As torchvision rounds: halves to the even neighbour.
  int64_t first(int64_t length) const {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(length - size_) / 2.0));
  }

  int64_t size_;
};

Schema<CenterCropOptions> center_crop_schema() {
  Schema<CenterCropOptions> schema;
  schema.add("size", &CenterCropOptions::size, "height and width of what is kept")
      .at_least(1)
      .at_most(largest_size)
      .unit("pixels")
      .required();
  return schema;
}

struct PaddedCropOptions {
  int64_t padding = 4;
};

class PaddedCrop : public PlaneTransform, public PlannedStep {
 public:
  explicit PaddedCrop(const PaddedCropOptions& options) : padding_(options.padding) {}

  void* capability(std::string_view id) override { return provide<PlannedStep>(*this, id); }
  ViewGeometry plan(RandomStream& stream, PlannedView& planned) const override {
    return move(planned, stream);
  }

 protected:
  ViewGeometry change(Planes image, RandomStream& stream) const override {
    return move(image, stream);
  }

 private:
  // Cutting a part out of the image with a black frame is moving it by up to the frame's width.
  template <class View>
  ViewGeometry move(View& image, RandomStream& stream) const {
    const auto positions = static_cast<uint64_t>(2 * padding_ + 1);
    const int64_t down = static_cast<int64_t>(stream.below(positions)) - padding_;
    const int64_t right = static_cast<int64_t>(stream.below(positions)) - padding_;
    shift(image, down, right);
    return {.x0 = -static_cast<double>(right), .y0 = -static_cast<double>(down)};
  }

  int64_t padding_;
};

Schema<PaddedCropOptions> padded_crop_schema() {
  Schema<PaddedCropOptions> schema;
  schema.add("padding", &PaddedCropOptions::padding, "width of the frame of zeros")
      .at_least(0)
      .at_most(largest_size)
      .unit("pixels");
  return schema;
}

struct FlipOptions {
  double probability = 0.5;
};

class Flip : public PlaneTransform, public PlannedStep {
 public:
  explicit Flip(const FlipOptions& options) : probability_(options.probability) {}

  void* capability(std::string_view id) override { return provide<PlannedStep>(*this, id); }
  ViewGeometry plan(RandomStream& stream, PlannedView& planned) const override {
    return flip(planned, stream);
  }

 protected:
  ViewGeometry change(Planes image, RandomStream& stream) const override {
    return flip(image, stream);
  }

 private:
  template <class View>
  ViewGeometry flip(View& image, RandomStream& stream) const {
    if (!stream.chance(probability_)) {
      return {};
    }
    flip_horizontal(image);
    return flipped(static_cast<double>(shape_of(image).width));
  }

  double probability_;
};

Schema<FlipOptions> flip_schema() {
  Schema<FlipOptions> schema;
  schema.add("probability", &FlipOptions::probability, "probability of a left-right flip")
      .at_least(0)
      .at_most(1);
  return schema;
}

}  // namespace

void add_shape_transforms(Registrar& registrar) {
  registrar.add<Transform, ResizedCrop>(
      {.name = "resized-crop",
       .summary = "a random part of the image, scaled to the size of the view",
       .source =
           "Szegedy et al., \"Going deeper with convolutions\", CVPR 2015, arXiv 1409.4842; as "
           "torchvision's RandomResizedCrop"},
      resized_crop_schema());
  registrar.add<Transform, Resize>(
      {.name = "resize", .summary = "scales the whole image", .source = ""}, resize_schema());
  registrar.add<Transform, ToPlanes>(
      {.name = "to-planes",
       .summary = "makes float planes with values in 0 … 1 of pixels of 8 or 16 bits",
       .source = ""},
      Schema<NoOptions>{});
  registrar.add<Transform, CenterCrop>(
      {.name = "center-crop", .summary = "cuts a square out of the middle", .source = ""},
      center_crop_schema());
  registrar.add<Transform, PaddedCrop>(
      {.name = "padded-crop",
       .summary = "a random part of the view with a frame of zeros around it",
       .source = ""},
      padded_crop_schema());
  registrar.add<Transform, Flip>({.name = "flip",
                                  .summary = "exchanges left and right, with a given probability",
                                  .source = ""},
                                 flip_schema());
}

}  // namespace bissl
