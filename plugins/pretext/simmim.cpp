#include "components.h"
#include "on_device.h"
#include "patches.h"

#include "bissl/error.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/where.h>

#include <optional>

namespace bissl {
namespace {

struct Options {
  double mask_ratio = 0.6;
  std::optional<int64_t> mask_size = {};
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("mask_ratio", &Options::mask_ratio,
           "share of the squares that are hidden and that the loss is about")
      .more_than(0)
      .less_than(1);
  schema
      .add("mask_size", &Options::mask_size,
           "side of a square that is hidden as a whole; views are whole numbers of them, and they "
           "are whole numbers of a token network's patches. Unset: a patch, or the stride of the "
           "coarsest map; the paper has 32")
      .at_least(1)
      .unit("pixels");
  return schema;
}

/// Tells hidden pixels from the others. A network of tokens is given a learnt token for the hidden
/// patches, a convolutional one a learnt colour for the hidden pixels; then one linear layer tells
/// all pixels of a patch, or of a place of the coarsest map.
class SimMim : public Pretext {
 public:
  SimMim(const Options& options, const PretextContext& context) : options_(options) {
    const ImageShape& view = context.views.at(0);
    if (bissl::capability<Tokens>(*context.backbone) != nullptr) {
      tokens_ = require_tokens(context);
      cell_ = tokens_->patch;
    } else if (auto* maps = bissl::capability<FeatureMaps>(*context.backbone)) {
      const FeatureMaps::Level level = maps->map_levels().back();
      cell_ = {.height = level.stride, .width = level.stride};
      width_ = level.channels;
    } else {
      fail_without_ability("tokens of patches or feature maps", Tokens::id, context.backbone_name);
    }
    side_ = options.mask_size.value_or(cell_.height);
    if (tokens_ && (side_ % cell_.height != 0 || side_ % cell_.width != 0)) {
      fail_input("simmim: mask_size = {} is no whole number of patches of {}x{} pixels ({})", side_,
                 cell_.height, cell_.width, context.backbone_name);
    }
    for (const ImageShape& shape : context.views) {
      squares(shape.height, shape.width);
    }
    const int64_t width = tokens_ ? tokens_->width : width_;
    head_ =
        module_->register_module("head", Linear(width, view.channels * cell_.height * cell_.width));
    hidden_ = module_->register_parameter(
        "hidden", 0.02 * at::randn({tokens_ ? tokens_->width : view.channels}));
  }

  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  /// Section 3.3: the mean absolute error of the hidden pixels.
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor& view = batch.views[0];
    const at::Tensor mask = draw(view);  // (N, 1, H, W), 1 for hidden pixels
    const at::Tensor told =
        tokens_ ? from_tokens(backbone, view, mask) : from_maps(backbone, view, mask);
    const at::Tensor weights = mask.to(view.dtype());
    return ((told - view).abs() * weights).sum() / (weights.sum() * double(view.size(1)));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  PatchGrid squares(int64_t height, int64_t width) const {
    const PatchGrid grid = grid_of({side_, side_}, height, width, "mask_size of simmim");
    share_of("mask_ratio", options_.mask_ratio, grid.places());
    return grid;
  }

  at::Tensor draw(const at::Tensor& view) const {
    const PatchGrid grid = squares(view.size(2), view.size(3));
    const int64_t hidden = share_of("mask_ratio", options_.mask_ratio, grid.places());
    const at::Tensor chosen = random_places(view.size(0), grid.places(), hidden);
    return on_device_of(view, chosen.view({-1, 1, grid.rows, 1, grid.columns, 1})
                                  .expand({-1, 1, grid.rows, side_, grid.columns, side_})
                                  .reshape({view.size(0), 1, view.size(2), view.size(3)}));
  }

  at::Tensor from_tokens(Backbone& backbone, const at::Tensor& view, const at::Tensor& mask) {
    PatchSelection selection;
    selection.masked = patches_of(mask, cell_).select(2, 0);
    selection.mask_token = hidden_;
    const at::Tensor tokens = bissl::capability<Tokens>(backbone)->tokens(view, selection);
    const at::Tensor pixels =
        head_(tokens.narrow(1, tokens_->extra, tokens.size(1) - tokens_->extra));
    return image_of(pixels, cell_, tokens_->grid(view));
  }

  at::Tensor from_maps(Backbone& backbone, const at::Tensor& view, const at::Tensor& mask) {
    const at::Tensor seen = at::where(mask, hidden_.view({1, -1, 1, 1}), view);
    const at::Tensor map = bissl::capability<FeatureMaps>(backbone)->maps(seen).back();
    const at::Tensor pixels = head_(map.flatten(2).transpose(1, 2));
    const PatchGrid grid{.rows = map.size(2), .columns = map.size(3)};
    const at::Tensor told = image_of(pixels, cell_, grid);
    if (told.size(2) < view.size(2) || told.size(3) < view.size(3)) {
      fail_run("simmim: a map of {}x{} places with stride {} does not reach over a view of {}x{}",
               grid.rows, grid.columns, cell_.height, view.size(2), view.size(3));
    }
    return told.narrow(2, 0, view.size(2)).narrow(3, 0, view.size(3));
  }

  Options options_;
  std::optional<TokenForm> tokens_;  ///< none: maps
  Tokens::Patch cell_;               ///< what one vector tells the pixels of
  int64_t side_ = 0;                 ///< of a square that is hidden
  int64_t width_ = 0;                ///< channels of the map
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  Linear head_{nullptr};
  at::Tensor hidden_;  ///< a token, or a colour, in the place of what is hidden
};

}  // namespace

void add_simmim(Registrar& registrar) {
  registrar.add<Pretext, SimMim>(
      {.name = "simmim",
       .summary = "tells the pixels of hidden squares, with one linear layer behind the backbone",
       .source = "Xie et al. 2022, arXiv 2111.09886, section 3"},
      schema());
}

}  // namespace bissl
