#include "components.h"
#include "crop.h"
#include "jitter.h"
#include "view_format.h"

#include "bissl/augmentation.h"
#include "bissl/crops.h"
#include "bissl/image_operations.h"

#include <algorithm>
#include <memory>

namespace bissl {
namespace {

struct SimclrOptions {
  int64_t size = 0;
  double crop_probability = 1.0;
  std::vector<double> crop_scale{0.2, 1.0};
  std::vector<double> crop_ratio{3.0 / 4.0, 4.0 / 3.0};
  double flip_probability = 0.5;
  double jitter_probability = 0.8;
  double brightness = 0.4;
  double contrast = 0.4;
  double saturation = 0.2;
  double hue = 0.1;
  double grayscale_probability = 0.2;
  double blur_probability = 0.5;
  std::vector<double> blur_sigma{0.1, 2.0};
  double solarize_probability = 0.0;
  double solarize_threshold = 0.5;
  std::vector<double> mean{0.5};
  std::vector<double> std{0.5};
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
class Simclr : public Augmentation {
 public:
  explicit Simclr(const SimclrOptions& options)
      : options_(options),
        strength_{options.brightness, options.contrast, options.saturation, options.hue},
        range_(crop_range(options.crop_scale, options.crop_ratio)),
        format_(options.size, options.mean, options.std) {}

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    return format_.shape(input);
  }

  ViewGeometry apply(const Image& image, int64_t /*view*/, RandomStream& stream,
                     std::span<float> output) const override {
    const Planes view = format_.planes(image.shape, output);
    const Draws draws = draw(image.shape, view.shape, stream);
    ViewGeometry geometry = resized_crop(image, draws.box, view);
    if (draws.flip) {
      flip_horizontal(view);
      geometry = geometry * flipped(static_cast<double>(view.shape.width));
    }
    if (draws.jitter) {
      apply_jitter(view, strength_, draws.parts);
    }
    if (draws.grayscale) {
      convert_to_grayscale(view);
    }
    if (draws.blur) {
      gaussian_blur(view, blur_kernel_size(std::min(view.shape.height, view.shape.width)),
                    draws.sigma);
    }
    if (draws.solarize) {
      solarize(view, options_.solarize_threshold);
    }
    format_.normalize(view);
    return geometry;
  }

 private:
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
    draws.parts = draw_jitter(strength_, stream);
    draws.sigma = stream.uniform(options_.blur_sigma[0], options_.blur_sigma[1]);
    draws.box = crop ? random_box(image, range_, stream) : centered_box(image, view);
    return draws;
  }

  SimclrOptions options_;
  JitterStrength strength_;
  CropRange range_;
  ViewFormat format_;
};

void warn(const SimclrOptions& options, std::vector<Finding>& findings) {
  const SimclrOptions standard;
  const auto needs = [&](const std::string& switched, double probability,
                         const std::string& parameter, bool changed) {
    if (probability == 0.0 && changed) {
      warn_without_effect(parameter, switched + " is 0", findings);
    }
  };
  const std::string crop = "crop_probability";
  needs(crop, options.crop_probability, "crop_scale", options.crop_scale != standard.crop_scale);
  needs(crop, options.crop_probability, "crop_ratio", options.crop_ratio != standard.crop_ratio);
  const std::string jitter = "jitter_probability";
  const double probability = options.jitter_probability;
  needs(jitter, probability, "brightness", options.brightness != standard.brightness);
  needs(jitter, probability, "contrast", options.contrast != standard.contrast);
  needs(jitter, probability, "saturation", options.saturation != standard.saturation);
  needs(jitter, probability, "hue", options.hue != standard.hue);
  needs("blur_probability", options.blur_probability, "blur_sigma",
        options.blur_sigma != standard.blur_sigma);
  needs("solarize_probability", options.solarize_probability, "solarize_threshold",
        options.solarize_threshold != standard.solarize_threshold);
}

Schema<SimclrOptions> simclr_schema() {
  using Options = SimclrOptions;
  Schema<Options> schema;
  const auto probability = [&schema](const char* name, double Options::*member, const char* doc) {
    schema.add(name, member, doc).at_least(0).at_most(1);
  };
  const auto strength = [&schema](const char* name, double Options::*member, const char* doc) {
    schema.add(name, member, doc).at_least(0).at_most(1);
  };
  probability("crop_probability", &Options::crop_probability,
              "probability of cutting out a random part");
  add_crop_range(schema);
  probability("flip_probability", &Options::flip_probability, "probability of a left-right flip");
  probability("jitter_probability", &Options::jitter_probability,
              "probability of colour jitter, its four parts in random order");
  strength("brightness", &Options::brightness, "jitter: values times 1 - b … 1 + b");
  strength("contrast", &Options::contrast, "jitter: distance from the mean times 1 - c … 1 + c");
  strength("saturation", &Options::saturation,
           "jitter: distance from gray times 1 - s … 1 + s; colour images only");
  schema
      .add("hue", &Options::hue,
           "jitter: hue turned by -h … h of the full circle; colour images only")
      .at_least(0)
      .at_most(0.5);
  probability("grayscale_probability", &Options::grayscale_probability,
              "probability of losing all colour; colour images only");
  probability("blur_probability", &Options::blur_probability,
              "probability of a Gaussian blur, its kernel about a tenth of the view");
  schema.add("blur_sigma", &Options::blur_sigma, "smallest and largest width of the blur")
      .more_than(0)
      .length(2)
      .unit("pixels");
  probability("solarize_probability", &Options::solarize_probability,
              "probability of inverting bright pixels");
  schema
      .add("solarize_threshold", &Options::solarize_threshold,
           "pixels from this value on (0 … 1) are inverted")
      .at_least(0)
      .at_most(1);
  add_view_format(schema);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    check_range("blur_sigma", options.blur_sigma, findings);
    warn(options, findings);
  });
  return schema;
}

}  // namespace

void register_simclr(Registrar& registrar) {
  registrar.add<Augmentation, SimclrOptions>(
      {"simclr", "random crop, flip, colour jitter, grayscale, blur and solarization",
       "Chen et al., \"A Simple Framework for Contrastive Learning of Visual Representations\", "
       "ICML 2020, arXiv 2002.05709, appendix A; solarization: Grill et al. 2020, "
       "arXiv 2006.07733, appendix B"},
      simclr_schema(), [](const SimclrOptions& options, const AugmentationContext&) {
        return std::make_shared<Simclr>(options);
      });
}

}  // namespace bissl
