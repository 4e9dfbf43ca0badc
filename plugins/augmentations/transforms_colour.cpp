// Steps that change values and leave places alone.

#include "both_views.h"
#include "components.h"
#include "crop.h"
#include "jitter.h"
#include "view_format.h"

#include "bissl/error.h"
#include "bissl/planned_view.h"
#include "bissl/transform.h"
#include "bissl/transform_abilities.h"

#include <algorithm>

namespace bissl {
namespace {

/// A step that is made with some probability: by Step::change_always(view, stream), of `Planes` and
/// of a `PlannedView`.
template <class Step, class Options>
class RandomChange : public PlaneTransform, public PlannedStep {
 public:
  explicit RandomChange(const Options& options) : options_(options) {}

  ImageShape output_shape(const ImageShape& input) const override {
    if (input.channels != 1 && input.channels != 3) {
      fail_input("a view has {} channels; expected 1 (gray) or 3 (red, green, blue)",
                 input.channels);
    }
    return input;
  }

  void* capability(std::string_view id) override { return provide<PlannedStep>(*this, id); }
  ViewGeometry plan(RandomStream& stream, PlannedView& planned) const override {
    return change_sometimes(planned, stream);
  }

 protected:
  ViewGeometry change(Planes image, RandomStream& stream) const override {
    return change_sometimes(image, stream);
  }
  const Options& options() const { return options_; }

 private:
  template <class View>
  ViewGeometry change_sometimes(View& view, RandomStream& stream) const {
    if (stream.chance(options_.probability)) {
      static_cast<const Step&>(*this).change_always(view, stream);
    }
    return {};
  }

  Options options_;
};

template <class Options>
void add_probability(Schema<Options>& schema, const char* doc) {
  schema.add("probability", &Options::probability, doc).at_least(0).at_most(1);
}

/// A step that counts on values in 0 … 1, and stays there.
template <class Step, class Options>
class UnitChange : public RandomChange<Step, Options>, public PlaneValues {
 public:
  using RandomChange<Step, Options>::RandomChange;

  void* capability(std::string_view id) override {
    return provide<PlaneValues, PlannedStep>(*this, id);
  }
  bool takes_unit_values() const override { return true; }
  bool leaves_unit_values() const override { return false; }
};

struct ColorJitterOptions {
  double probability = 0.8;
  double brightness = 0.4;
  double contrast = 0.4;
  double saturation = 0.2;
  double hue = 0.1;
};

class ColorJitter : public UnitChange<ColorJitter, ColorJitterOptions> {
 public:
  explicit ColorJitter(const ColorJitterOptions& options)
      : UnitChange(options),
        strength_{options.brightness, options.contrast, options.saturation, options.hue} {}

  template <class View>
  void change_always(View& view, RandomStream& stream) const {
    apply_jitter(view, strength_, draw_jitter(strength_, stream));
  }

 private:
  JitterStrength strength_;
};

Schema<ColorJitterOptions> color_jitter_schema() {
  using Options = ColorJitterOptions;
  Schema<Options> schema;
  add_probability(schema, "probability of colour jitter, its four parts in random order");
  const auto strength = [&schema](const char* name, double Options::*member, double most,
                                  const char* doc) {
    schema.add(name, member, doc).at_least(0).at_most(most).only_above("probability", 0);
  };
  strength("brightness", &Options::brightness, 1, "values times 1 - b … 1 + b");
  strength("contrast", &Options::contrast, 1, "distance from the mean times 1 - c … 1 + c");
  strength("saturation", &Options::saturation, 1,
           "distance from gray times 1 - s … 1 + s; colour images only");
  strength("hue", &Options::hue, 0.5,
           "hue turned by -h … h of the full circle; colour images only");
  return schema;
}

struct GrayscaleOptions {
  double probability = 0.2;
};

class Grayscale : public UnitChange<Grayscale, GrayscaleOptions> {
 public:
  using UnitChange::UnitChange;

  template <class View>
  void change_always(View& view, RandomStream& /*stream*/) const {
    convert_to_grayscale(view);
  }
};

Schema<GrayscaleOptions> grayscale_schema() {
  Schema<GrayscaleOptions> schema;
  add_probability(schema, "probability of losing all colour; colour images only");
  return schema;
}

struct BlurOptions {
  double probability = 0.5;
  std::vector<double> sigma{0.1, 2.0};
  int64_t kernel_size = 0;
};

class Blur : public RandomChange<Blur, BlurOptions> {
 public:
  using RandomChange::RandomChange;

  ImageShape output_shape(const ImageShape& input) const override { return input; }  // any channels

  template <class View>
  void change_always(View& view, RandomStream& stream) const {
    const ImageShape shape = shape_of(view);
    const int64_t kernel = options().kernel_size > 0
                               ? options().kernel_size
                               : blur_kernel_size(std::min(shape.height, shape.width));
    gaussian_blur(view, kernel, stream.uniform(options().sigma[0], options().sigma[1]));
  }
};

Schema<BlurOptions> blur_schema() {
  Schema<BlurOptions> schema;
  add_probability(schema, "probability of a Gaussian blur");
  schema.add("sigma", &BlurOptions::sigma, "smallest and largest width of the blur")
      .more_than(0)
      .length(2)
      .unit("pixels")
      .only_above("probability", 0);
  schema
      .add("kernel_size", &BlurOptions::kernel_size,
           "size of the kernel, an odd number; 0: about a tenth of the view, at least 3")
      .at_least(0)
      .at_most(255)
      .unit("pixels")
      .only_above("probability", 0);
  schema.rule([](const BlurOptions& options, std::vector<Finding>& findings) {
    check_range("sigma", options.sigma, findings);
    if (options.kernel_size > 0 && options.kernel_size % 2 == 0) {
      findings.push_back({Finding::Severity::error, "kernel_size",
                          "is even; a kernel has a middle, so give an odd number"});
    }
  });
  return schema;
}

struct SolarizeOptions {
  double probability = 0.2;
  double threshold = 0.5;
};

class Solarize : public UnitChange<Solarize, SolarizeOptions> {
 public:
  using UnitChange::UnitChange;

  ImageShape output_shape(const ImageShape& input) const override { return input; }  // any channels

  template <class View>
  void change_always(View& view, RandomStream& /*stream*/) const {
    solarize(view, options().threshold);
  }
};

Schema<SolarizeOptions> solarize_schema() {
  Schema<SolarizeOptions> schema;
  add_probability(schema, "probability of inverting bright pixels");
  schema
      .add("threshold", &SolarizeOptions::threshold,
           "pixels from this value on (0 … 1) are inverted")
      .at_least(0)
      .at_most(1)
      .only_above("probability", 0);
  return schema;
}

struct NormalizeOptions {
  std::vector<double> mean{0.5};
  std::vector<double> std{0.5};
};

class Normalize : public PlaneTransform, public PlaneValues, public PlannedStep {
 public:
  explicit Normalize(const NormalizeOptions& options) : options_(options) {}

  void* capability(std::string_view id) override {
    return provide<PlaneValues, PlannedStep>(*this, id);
  }
  bool takes_unit_values() const override { return true; }
  bool leaves_unit_values() const override { return true; }

  ViewGeometry plan(RandomStream& /*stream*/, PlannedView& planned) const override {
    planned.normalize(options_.mean, options_.std);
    return {};
  }

  ImageShape output_shape(const ImageShape& input) const override {
    for (const auto& [name, values] : {std::pair("mean", &options_.mean), {"std", &options_.std}}) {
      if (values->size() != 1 && static_cast<int64_t>(values->size()) != input.channels) {
        fail_input(
            "`{}` has {} elements, a view has {} channels; give 1 element, or one for each "
            "channel",
            name, values->size(), input.channels);
      }
    }
    return input;
  }

 protected:
  ViewGeometry change(Planes image, RandomStream& /*stream*/) const override {
    normalize(image, options_.mean, options_.std);
    return {};
  }

 private:
  NormalizeOptions options_;
};

Schema<NormalizeOptions> normalize_schema() {
  Schema<NormalizeOptions> schema;
  schema.add("mean", &NormalizeOptions::mean,
             "subtracted from the values in 0 … 1: one number, or one per channel");
  schema.add("std", &NormalizeOptions::std, "divides what is left: one number, or one per channel")
      .more_than(0);
  schema.rule([](const NormalizeOptions& options, std::vector<Finding>& findings) {
    for (const auto& [name, values] : {std::pair("mean", &options.mean), {"std", &options.std}}) {
      if (values->empty()) {
        findings.push_back({Finding::Severity::error, name, "needs at least one number"});
      }
    }
  });
  return schema;
}

}  // namespace

void add_colour_transforms(Registrar& registrar) {
  registrar.add<Transform, ColorJitter>(
      {.name = "color-jitter",
       .summary = "changes brightness, contrast, saturation and hue",
       .source = ""},
      color_jitter_schema());
  registrar.add<Transform, Grayscale>({.name = "grayscale",
                                       .summary = "removes all colour, with a given probability",
                                       .source = ""},
                                      grayscale_schema());
  registrar.add<Transform, Blur>(
      {.name = "blur", .summary = "a Gaussian blur, with a given probability", .source = ""},
      blur_schema());
  registrar.add<Transform, Solarize>({.name = "solarize",
                                      .summary = "inverts bright pixels, with a given probability",
                                      .source = "Grill et al. 2020, arXiv 2006.07733, appendix B"},
                                     solarize_schema());
  registrar.add<Transform, Normalize>(
      {.name = "normalize", .summary = "from values in 0 … 1 to (x - mean) / std", .source = ""},
      normalize_schema());
}

}  // namespace bissl
