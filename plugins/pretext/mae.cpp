#include "components.h"
#include "on_device.h"
#include "patches.h"
#include "transformer.h"

#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace bissl {
namespace {

struct Options {
  double mask_ratio = 0.75;
  bool normalise_pixels = true;
  TransformerSize decoder{.width = 512, .depth = 8, .heads = 16};
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("mask_ratio", &Options::mask_ratio,
           "share of the patches that the backbone does not see and that the loss is about")
      .more_than(0)
      .less_than(1);
  schema.add("normalise_pixels", &Options::normalise_pixels,
             "compare with the pixels of a patch less their mean, over their deviation");
  schema.embed(&Options::decoder, transformer_schema("decoder", "the decoder"));
  return schema;
}

/// The backbone sees some patches; a small transformer tells the pixels of the others from their
/// tokens and from where it is to look.
class Mae : public Pretext {
 public:
  Mae(const Options& options, const PretextContext& context)
      : options_(options), form_(require_tokens(context)) {
    for (const ImageShape& view : context.views) {
      share_of("mask_ratio", options.mask_ratio,
               grid_of(form_.patch, view.height, view.width, form_.backbone).places());
    }
    const int64_t pixels = context.views.at(0).channels * form_.patch.height * form_.patch.width;
    mask_token_ =
        module_->register_parameter("mask_token", 0.02 * at::randn({options.decoder.width}));
    embedding_ = module_->register_module("embedding", Linear(form_.width, options.decoder.width));
    decoder_ = module_->register_module("decoder", std::make_shared<Transformer>(options.decoder));
    pixels_ = module_->register_module("pixels", Linear(options.decoder.width, pixels));
  }

  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor& view = batch.views[0];
    const PatchGrid grid = form_.grid(view);
    const int64_t hidden = share_of("mask_ratio", options_.mask_ratio, grid.places());
    const at::Tensor mask = random_places(view.size(0), grid.places(), hidden);
    const at::Tensor kept = on_device_of(view, places_of(mask.logical_not()));
    const at::Tensor seen = bissl::capability<Tokens>(backbone)->tokens(
        view, {.kept = kept, .masked = {}, .mask_token = {}});
    const at::Tensor told = decoded(embedding_(seen), kept, grid);
    const at::Tensor places = on_device_of(view, places_of(mask));
    return (rows_at(told, places) - rows_at(target(view), places)).square().mean();
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  /// Pixels of all patches, (N, P, pixels), from the seen ones' embeddings, (N, E + K, width).
  at::Tensor decoded(const at::Tensor& seen, const at::Tensor& kept, const PatchGrid& grid) {
    const int64_t samples = seen.size(0);
    const int64_t width = seen.size(2);
    const int64_t count = grid.places();
    const at::Tensor rows = kept.unsqueeze(2).expand({-1, -1, width});
    const at::Tensor embedded = seen.narrow(1, form_.extra, kept.size(1));
    const at::Tensor spread =
        at::zeros({samples, count, width}, seen.options().requires_grad(false))
            .scatter(1, rows, embedded);
    const at::Tensor is_seen =
        at::zeros({samples, count}, kept.options().dtype(at::kBool)).scatter(1, kept, true);
    const at::Tensor all = at::where(is_seen.unsqueeze(2), spread, mask_token_) +
                           wave_positions(grid, width, seen.options());
    const at::Tensor tokens = at::cat({seen.narrow(1, 0, form_.extra), all}, 1);
    return pixels_(decoder_->forward(tokens).narrow(1, form_.extra, count));
  }

  at::Tensor target(const at::Tensor& view) const {
    const at::Tensor patches = patches_of(view, form_.patch);
    if (!options_.normalise_pixels) {
      return patches;
    }
    constexpr double epsilon = 1e-6;
    const at::Tensor centred = patches - patches.mean({2}, /*keepdim=*/true);
    return centred / (centred.square().mean({2}, /*keepdim=*/true) + epsilon).sqrt();
  }

  Options options_;
  TokenForm form_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  at::Tensor mask_token_;
  Linear embedding_{nullptr};
  std::shared_ptr<Transformer> decoder_;
  Linear pixels_{nullptr};
};

}  // namespace

void add_mae(Registrar& registrar) {
  registrar.add<Pretext, Mae>(
      {.name = "mae",
       .summary = "tells the pixels of hidden patches by a decoder behind the tokens of the others",
       .source = "He et al. 2022, arXiv 2111.06377, section 3"},
      schema());
}

}  // namespace bissl
