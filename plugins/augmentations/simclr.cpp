#include "both_views.h"
#include "components.h"
#include "crop.h"
#include "jitter.h"
#include "view_format.h"

#include "bissl/augmentation.h"
#include "bissl/crops.h"
#include "bissl/error.h"
#include "bissl/planned_view.h"

#include <algorithm>

namespace bissl {
namespace {

struct Options {
  ViewFormatOptions format;
  double crop_probability = 1.0;
  CropOptions crop;
  double flip_probability = 0.5;
  double jitter_probability = 0.8;
  JitterStrength jitter;
  double grayscale_probability = 0.2;
  double blur_probability = 0.5;
  std::vector<double> blur_sigma{0.1, 2.0};
  double solarize_probability = 0.0;
  double solarize_threshold = 0.5;
};

/// Everything random about one view.
struct Draws {
  bool flip = false;
  bool jitter = false;
  bool grayscale = false;
  bool blur = false;
  bool solarize = false;
  JitterDraws parts;
  double sigma = 1.0;
  Box box;
};

/// crop → flip → colour jitter → grayscale → blur → solarize → normalisation
class SimClr : public Augmentation, public PlannedViews {
 public:
  explicit SimClr(const Options& options)
      : options_(options), range_(options.crop.range()), format_(options.format) {}

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    const bool colours = options_.jitter_probability > 0 || options_.grayscale_probability > 0;
    if (colours && input.channels != 1 && input.channels != 3) {
      fail_input(
          "an image has {} channels, and colour jitter and grayscale are about gray images or red, "
          "green and blue: set jitter_probability and grayscale_probability to 0",
          input.channels);
    }
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
  /// Changes the part of the image that was drawn, `cropped`.
  template <class View>
  ViewGeometry change(View& view, const Draws& draws, const ViewGeometry& cropped) const {
    const ImageShape shape = shape_of(view);
    ViewGeometry geometry = cropped;
    if (draws.flip) {
      flip_horizontal(view);
      geometry = geometry * flipped(static_cast<double>(shape.width));
    }
    if (draws.jitter) {
      apply_jitter(view, options_.jitter, draws.parts);
    }
    if (draws.grayscale) {
      convert_to_grayscale(view);
    }
    if (draws.blur) {
      gaussian_blur(view, blur_kernel_size(std::min(shape.height, shape.width)), draws.sigma);
    }
    if (draws.solarize) {
      solarize(view, options_.solarize_threshold);
    }
    format_.normalize(view);
    return geometry;
  }

  // Everything is drawn whether it will be used or not, and the box, which takes a varying number
  // of draws, comes last: so a change of one parameter leaves the other operations' draws alone.
  Draws draw(const ImageShape& image, const ImageShape& view, RandomStream& stream) const {
    Draws draws;
    const bool crop = stream.chance(options_.crop_probability);
    draws.flip = stream.chance(options_.flip_probability);
    draws.jitter = stream.chance(options_.jitter_probability);
    draws.grayscale = stream.chance(options_.grayscale_probability);
    draws.blur = stream.chance(options_.blur_probability);
    draws.solarize = stream.chance(options_.solarize_probability);
    draws.parts = draw_jitter(options_.jitter, stream);
    draws.sigma = stream.uniform(options_.blur_sigma[0], options_.blur_sigma[1]);
    draws.box = crop ? random_box(image, range_, stream) : centered_box(image, view);
    return draws;
  }

  Options options_;
  CropRange range_;
  ViewFormat format_;
};

Schema<JitterStrength> jitter_schema() {
  Schema<JitterStrength> schema;
  const auto strength = [&schema](const char* name, double JitterStrength::*member, double most,
                                  const char* doc) {
    schema.add(name, member, doc).at_least(0).at_most(most).only_above("jitter_probability", 0);
  };
  strength("brightness", &JitterStrength::brightness, 1, "jitter: values times 1 - b … 1 + b");
  strength("contrast", &JitterStrength::contrast, 1,
           "jitter: distance from the mean times 1 - c … 1 + c");
  strength("saturation", &JitterStrength::saturation, 1,
           "jitter: distance from gray times 1 - s … 1 + s; colour images only");
  strength("hue", &JitterStrength::hue, 0.5,
           "jitter: hue turned by -h … h of the full circle; colour images only");
  return schema;
}

Schema<Options> schema() {
  Schema<Options> schema;
  const auto probability = [&schema](const char* name, double Options::*member, const char* doc) {
    schema.add(name, member, doc).at_least(0).at_most(1);
  };
  probability("crop_probability", &Options::crop_probability,
              "probability of cutting out a random part");
  schema.embed(&Options::crop, crop_schema([](ParameterBuilder parameter) {
    parameter.only_above("crop_probability", 0);
  }));
  probability("flip_probability", &Options::flip_probability, "probability of a left-right flip");
  probability("jitter_probability", &Options::jitter_probability,
              "probability of colour jitter, its four parts in random order");
  schema.embed(&Options::jitter, jitter_schema());
  probability("grayscale_probability", &Options::grayscale_probability,
              "probability of losing all colour; colour images only");
  probability("blur_probability", &Options::blur_probability,
              "probability of a Gaussian blur, its kernel about a tenth of the view");
  schema.add("blur_sigma", &Options::blur_sigma, "smallest and largest width of the blur")
      .more_than(0)
      .length(2)
      .unit("pixels")
      .only_above("blur_probability", 0);
  probability("solarize_probability", &Options::solarize_probability,
              "probability of inverting bright pixels");
  schema
      .add("solarize_threshold", &Options::solarize_threshold,
           "pixels from this value on (0 … 1) are inverted")
      .at_least(0)
      .at_most(1)
      .only_above("solarize_probability", 0);
  schema.embed(&Options::format, view_format_schema());
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    check_range("blur_sigma", options.blur_sigma, findings);
  });
  return schema;
}

}  // namespace

void add_simclr(Registrar& registrar) {
  registrar.add<Augmentation, SimClr>(
      {.name = "simclr",
       .summary = "random crop, flip, colour jitter, grayscale, blur and solarization",
       .source = "Chen et al., \"A Simple Framework for Contrastive Learning of Visual "
                 "Representations\", ICML 2020, arXiv 2002.05709, appendix A; solarization: Grill "
                 "et al. 2020, arXiv 2006.07733, appendix B"},
      schema());
}

}  // namespace bissl
