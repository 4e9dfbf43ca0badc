#include "recompute.h"
#include "vit_module.h"

#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/plugin.h"

#include <charconv>

namespace bissl {
namespace {

Schema<VitOptions> vit_schema() {
  Schema<VitOptions> schema;
  schema.add("patch", &VitOptions::patch, "height and width of a patch")
      .at_least(1)
      .at_most(1024)
      .unit("pixels");
  schema.add("width", &VitOptions::width, "channels of a token; the features' number")
      .at_least(1)
      .at_most(8192)
      .unit("channels");
  schema.add("depth", &VitOptions::depth, "blocks").at_least(1).at_most(256);
  schema.add("heads", &VitOptions::heads, "heads of the attention, which share the channels")
      .at_least(1)
      .at_most(256);
  schema
      .add("mlp_ratio", &VitOptions::mlp_ratio,
           "hidden channels of a block's perceptron for each channel of a token")
      .more_than(0)
      .at_most(64);
  schema
      .add("pool", &VitOptions::pool,
           "the features: \"token\" is the class token, \"mean\" the mean over the patches")
      .choices({"token", "mean"});
  schema.add("class_token", &VitOptions::class_token, "have a class token before the patches");
  schema
      .add("registers", &VitOptions::registers,
           "tokens that belong to no patch and have no position")
      .at_least(0)
      .at_most(64);
  schema
      .add("positions", &VitOptions::positions,
           "embeddings of the places: \"learnt\" ones, or fixed \"sincos\" waves")
      .choices({"learnt", "sincos"});
  schema
      .add("position_size", &VitOptions::position_size,
           "height and width of the image that has an embedding for each place, which other sizes "
           "interpolate; unset: that of the views")
      .at_least(1)
      .at_most(65536)
      .unit("pixels");
  schema
      .add("drop_path", &VitOptions::drop_path,
           "probability that training leaves out a branch of the last block; it falls to 0 at the "
           "first")
      .at_least(0)
      .less_than(1);
  schema
      .add("layer_scale", &VitOptions::layer_scale,
           "start of a learnt factor for each channel of a branch; 0: none")
      .at_least(0)
      .at_most(1);
  add_recompute(schema, &VitOptions::recompute);
  schema.rule([](const VitOptions& options, std::vector<Finding>& findings) {
    const auto refuse = [&](const char* parameter, std::string message) {
      findings.push_back({Finding::Severity::error, parameter, std::move(message)});
    };
    if (options.width % options.heads != 0) {
      refuse("heads",
             fmt::format("must divide width = {}; {} does not", options.width, options.heads));
    }
    if (options.positions == "sincos" && options.width % 4 != 0) {
      refuse("width", fmt::format("must be a multiple of 4 with positions = \"sincos\"; {} is not",
                                  options.width));
    }
    if (options.pool == "token" && !options.class_token) {
      refuse("pool", "= \"token\" needs class_token = true; \"mean\" does not");
    }
  });
  return schema;
}

class VisionTransformer : public Backbone, public Tokens, public LayerDepths {
 public:
  VisionTransformer(const VitOptions& options, const BackboneContext& context)
      : module_(std::make_shared<VitModule>(options, context.input)), blocks_(options.depth) {}

  at::Tensor forward(const at::Tensor& images) override { return module_->forward(images); }
  int64_t features() const override { return module_->width(); }
  torch::nn::Module& module() override { return *module_; }
  void* capability(std::string_view id) override { return provide<Tokens, LayerDepths>(*this, id); }

  Patch patch() const override { return {.height = module_->patch(), .width = module_->patch()}; }
  int64_t token_width() const override { return module_->width(); }
  int64_t extra_tokens() const override { return module_->extra_tokens(); }
  at::Tensor tokens(const at::Tensor& images, const PatchSelection& selection) override {
    return module_->tokens(images, selection);
  }

  /// Embeddings are 0, each block one more; the last norm has the depth of a head, as in Bao et al.
  /// 2021, arXiv 2106.08254.
  int64_t depths() const override { return blocks_ + 1; }
  int64_t depth_of(std::string_view parameter) const override {
    constexpr std::string_view prefix = "blocks.";
    if (parameter.starts_with(prefix)) {
      int64_t block = 0;
      std::from_chars(parameter.data() + prefix.size(), parameter.data() + parameter.size(), block);
      return block + 1;
    }
    return parameter.starts_with("norm.") ? blocks_ + 1 : 0;
  }

 private:
  std::shared_ptr<VitModule> module_;
  int64_t blocks_;
};

// The sizes differ in their defaults alone.

struct NanoOptions {
  VitOptions vit{.patch = 4, .width = 128, .depth = 6, .heads = 4, .mlp_ratio = 2};
};
struct TinyOptions {
  VitOptions vit{.width = 192, .heads = 3};
};
struct SmallOptions {
  VitOptions vit{.width = 384, .heads = 6};
};
struct BaseOptions {
  VitOptions vit{.width = 768, .heads = 12};
};

template <class Options>
void add(Registrar& registrar, const char* name, const char* summary, const char* source) {
  Schema<Options> schema;
  schema.embed(&Options::vit, vit_schema());
  registrar.add<Backbone>({.name = name, .summary = summary, .source = source}, schema,
                          [](const Options& options, const BackboneContext& context) {
                            return std::make_shared<VisionTransformer>(options.vit, context);
                          });
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("vit", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add<NanoOptions>(registrar, "vit-nano",
                   "vision transformer for images of about 32 pixels; timm's names",
                   "Dosovitskiy et al. 2020, arXiv 2010.11929, equations 1 to 4; a size of ours");
  add<TinyOptions>(registrar, "vit-tiny", "vision transformer; its weights carry timm's names",
                   "Dosovitskiy et al. 2020, arXiv 2010.11929, equations 1 to 4; the size of "
                   "Touvron et al. 2020, arXiv 2012.12877, table 1");
  add<SmallOptions>(registrar, "vit-small", "vision transformer; its weights carry timm's names",
                    "Dosovitskiy et al. 2020, arXiv 2010.11929, equations 1 to 4; the size of "
                    "Touvron et al. 2020, arXiv 2012.12877, table 1");
  add<BaseOptions>(registrar, "vit-base", "vision transformer; its weights carry timm's names",
                   "Dosovitskiy et al. 2020, arXiv 2010.11929, table 1");
}
