#include "recompute.h"
#include "resnet_module.h"

#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/error.h"
#include "bissl/plugin.h"

#include <charconv>
#include <numeric>

namespace bissl {
namespace {

struct Options {
  std::string stem = "imagenet";
  int64_t width = 64;
  std::vector<int64_t> depths{2, 2, 2, 2};
  bool recompute = false;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("stem", &Options::stem,
           "first layer: \"imagenet\" is 7x7 with stride 2 and max-pooling, \"small\" is 3x3 with "
           "stride 1 for images of about 32 pixels")
      .choices({"imagenet", "small"});
  schema.add("width", &Options::width, "channels of the first layer; 64 is the standard network")
      .at_least(1)
      .at_most(1024)
      .unit("channels");
  schema.add("depths", &Options::depths, "blocks of each of the four layers")
      .length(4)
      .at_least(1)
      .at_most(256);
  add_recompute(schema, &Options::recompute);
  return schema;
}

class ResNet : public Backbone, public FeatureMaps, public LayerDepths {
 public:
  ResNet(const Architecture& architecture, const Options& options, const BackboneContext& context)
      : module_(std::make_shared<ResNetModule>(architecture, context.input.channels, options.width,
                                               options.stem == "small")),
        blocks_(architecture.blocks.begin(), architecture.blocks.end()) {}

  at::Tensor forward(const at::Tensor& images) override { return module_->forward(images); }
  int64_t features() const override { return module_->features(); }
  torch::nn::Module& module() override { return *module_; }
  void* capability(std::string_view id) override {
    return provide<FeatureMaps, LayerDepths>(*this, id);
  }

  std::vector<Level> map_levels() const override {
    std::vector<Level> levels;
    int64_t stride = module_->first_stride();
    for (const int64_t channels : module_->map_channels()) {
      levels.push_back({.channels = channels, .stride = stride});
      stride *= 2;
    }
    return levels;
  }
  TensorList maps(const at::Tensor& images) override { return module_->maps(images); }

  /// The stem is 0, each block one more.
  int64_t depths() const override {
    return std::accumulate(blocks_.begin(), blocks_.end(), int64_t{1});
  }
  int64_t depth_of(std::string_view parameter) const override {
    constexpr std::string_view prefix = "layer";  // "layer2.1.conv1.weight"
    if (!parameter.starts_with(prefix)) {
      return 0;
    }
    const auto layer = static_cast<size_t>(number_at(parameter, prefix.size()));
    const int64_t block = number_at(parameter, parameter.find('.') + 1);
    return std::accumulate(blocks_.begin(), blocks_.begin() + static_cast<int64_t>(layer) - 1,
                           block + 1);
  }

 private:
  static int64_t number_at(std::string_view text, size_t place) {
    int64_t number = 0;
    std::from_chars(text.data() + place, text.data() + text.size(), number);
    return number;
  }

  std::shared_ptr<ResNetModule> module_;
  std::vector<int64_t> blocks_;  ///< of each layer
};

/// With the network's own depths.
template <class Shape>
struct SizedOptions {
  Options network{.depths = Shape::architecture().blocks};
};

/// The networks differ in their shape alone.
template <class Shape>
class ResNetOf final : public ResNet {
 public:
  ResNetOf(const SizedOptions<Shape>& options, const BackboneContext& context)
      : ResNet(checked(options.network), options.network, context) {}

 private:
  static Architecture checked(const Options& options) {
    const int64_t scaled = options.width * Shape::architecture().group_width;
    if (scaled % 64 != 0) {
      fail_input(
          "width = {} gives groups of {} / 64 channels, which is no whole number; with 64 "
          "there are {}",
          options.width, scaled, Shape::architecture().group_width);
    }
    Architecture architecture = Shape::architecture();
    architecture.blocks = options.depths;
    architecture.recompute = options.recompute;
    return architecture;
  }
};

struct Blocks18 {
  static Architecture architecture() { return {.blocks = {2, 2, 2, 2}}; }
};
struct Blocks34 {
  static Architecture architecture() { return {.blocks = {3, 4, 6, 3}}; }
};
struct Blocks50 {
  static Architecture architecture() { return {.blocks = {3, 4, 6, 3}, .bottleneck = true}; }
};
struct Blocks101 {
  static Architecture architecture() { return {.blocks = {3, 4, 23, 3}, .bottleneck = true}; }
};
struct Blocks152 {
  static Architecture architecture() { return {.blocks = {3, 8, 36, 3}, .bottleneck = true}; }
};
struct Wide50 {
  static Architecture architecture() {
    return {.blocks = {3, 4, 6, 3}, .bottleneck = true, .group_width = 128};
  }
};
struct Wide101 {
  static Architecture architecture() {
    return {.blocks = {3, 4, 23, 3}, .bottleneck = true, .group_width = 128};
  }
};
struct Groups50 {
  static Architecture architecture() {
    return {.blocks = {3, 4, 6, 3}, .bottleneck = true, .groups = 32, .group_width = 4};
  }
};
/// The size of Mahajan et al. 2018.
struct Groups101 {
  static Architecture architecture() {
    return {.blocks = {3, 4, 23, 3}, .bottleneck = true, .groups = 32, .group_width = 8};
  }
};

template <class Shape>
void add(Registrar& registrar, const char* name,
         const char* source = "He et al. 2015, arXiv 1512.03385, table 1") {
  Schema<SizedOptions<Shape>> sized;
  sized.embed(&SizedOptions<Shape>::network, schema());
  registrar.add<Backbone, ResNetOf<Shape>>(
      {.name = name,
       .summary = "residual network; its weights carry torchvision's names",
       .source = source},
      std::move(sized));
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("resnet", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  constexpr const char* groups = "Xie et al. 2016, arXiv 1611.05431, table 1";
  constexpr const char* wide = "Zagoruyko and Komodakis 2016, arXiv 1605.07146, section 3.3";
  add<Blocks18>(registrar, "resnet18");
  add<Blocks34>(registrar, "resnet34");
  add<Blocks50>(registrar, "resnet50");
  add<Blocks101>(registrar, "resnet101");
  add<Blocks152>(registrar, "resnet152");
  add<Groups50>(registrar, "resnext50-32x4d", groups);
  add<Groups101>(
      registrar, "resnext101-32x8d",
      "Xie et al. 2016, arXiv 1611.05431, table 1; the size of Mahajan et al. 2018, arXiv "
      "1805.00932");
  add<Wide50>(registrar, "wide-resnet50-2", wide);
  add<Wide101>(registrar, "wide-resnet101-2", wide);
}
