#include "components.h"
#include "momentum.h"
#include "on_device.h"
#include "patches.h"
#include "transformer.h"

#include "bissl/error.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"
#include "bissl/teacher.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

struct Options {
  int64_t targets = 4;
  double target_scale_min = 0.15;
  double target_scale_max = 0.2;
  double context_scale_min = 0.85;
  double context_scale_max = 1.0;
  TransformerSize predictor{.width = 384, .depth = 6, .heads = 12};
  MomentumOptions momentum{};
};

void add_share(Schema<Options>& schema, const char* name, double Options::*member,
               const char* doc) {
  schema.add(name, member, doc).more_than(0).at_most(1);
}

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("targets", &Options::targets,
           "blocks of patches whose tokens are predicted, each by itself")
      .at_least(1);
  add_share(
      schema, "target_scale_min", &Options::target_scale_min,
      "smallest share of the patches in such a block; its height is 0.75 to 1.5 of its width");
  add_share(schema, "target_scale_max", &Options::target_scale_max, "largest share of the same");
  add_share(schema, "context_scale_min", &Options::context_scale_min,
            "smallest share of the patches in the square block from which the backbone sees those "
            "that are in no target");
  add_share(schema, "context_scale_max", &Options::context_scale_max, "largest share of the same");
  schema.embed(&Options::predictor, transformer_schema("predictor", "the predictor"));
  schema.embed(&Options::momentum, momentum_schema());
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    const auto require = [&](const char* name, double least, double most) {
      if (least > most) {
        findings.push_back({Finding::Severity::error, name,
                            fmt::format("= {} is above the largest share, {}", least, most)});
      }
    };
    require("target_scale_min", options.target_scale_min, options.target_scale_max);
    require("context_scale_min", options.context_scale_min, options.context_scale_max);
  });
  return schema;
}

/// Predicts what a slowly moving teacher makes of blocks of patches from the tokens of others.
class IJepa : public Pretext {
 public:
  IJepa(const Options& options, const PretextContext& context)
      : options_(options), form_(require_tokens(context)), teacher_(context.make_backbone()) {
    for (const ImageShape& view : context.views) {
      const PatchGrid grid = grid_of(form_.patch, view.height, view.width, form_.backbone);
      if (grid.places() < 4) {
        fail_input("i-jepa needs at least 4 patches in a view; one of {}x{} has {} ({})",
                   view.height, view.width, grid.places(), form_.backbone);
      }
    }
    const int64_t width = options.predictor.width;
    mask_token_ = module_->register_parameter("mask_token", 0.02 * at::randn({width}));
    embedding_ = module_->register_module("embedding", Linear(form_.width, width));
    predictor_ =
        module_->register_module("predictor", std::make_shared<Transformer>(options.predictor));
    output_ = module_->register_module("output", Linear(width, form_.width));
    register_backbone(*module_, "teacher", teacher_);
  }

  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  /// Section 3: the squared distance of predicted and target tokens, a mean over blocks, tokens and
  /// dimensions.
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor& view = batch.views[0];
    const PatchGrid grid = form_.grid(view);
    const std::vector<at::Tensor> blocks = draw_targets(view.size(0), grid);
    const at::Tensor kept = on_device_of(view, draw_context(view.size(0), grid, blocks));
    const at::Tensor wanted = targets(view);
    const at::Tensor seen = bissl::capability<Tokens>(backbone)
                                ->tokens(view, {.kept = kept, .masked = {}, .mask_token = {}})
                                .narrow(1, form_.extra, kept.size(1));
    const at::Tensor positions = wave_positions(grid, options_.predictor.width, view.options());
    const at::Tensor context = embedding_(seen) + positions.index({kept});
    TensorList distances;
    for (const at::Tensor& block : blocks) {
      const at::Tensor places = on_device_of(view, places_of(block));
      const at::Tensor asked = mask_token_ + positions.index({places});
      const at::Tensor told = predictor_->forward(at::cat({context, asked}, 1));
      const at::Tensor predicted = output_(told.narrow(1, kept.size(1), places.size(1)));
      distances.push_back((predicted - rows_at(wanted, places)).square().mean().unsqueeze(0));
    }
    return at::cat(distances).mean();
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    move_average(teacher_->module(), backbone.module(), momentum_at(options_.momentum, progress));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  /// The teacher's tokens of all patches, each with mean 0 and deviation 1, as in the published
  /// code.
  at::Tensor targets(const at::Tensor& view) const {
    const c10::NoGradGuard no_grad;
    const at::Tensor tokens = bissl::capability<Tokens>(*teacher_)->tokens(view, {});
    return at::layer_norm(tokens.narrow(1, form_.extra, tokens.size(1) - form_.extra),
                          {tokens.size(2)});
  }

  struct BlockSize {
    int64_t height = 1;
    int64_t width = 1;
  };

  static BlockSize block_size(const PatchGrid& grid, double share, double form) {
    const double patches = share * double(grid.places());
    const auto fit = [](double length, int64_t most) {
      return std::clamp<int64_t>(std::llround(length), 1, most);
    };
    return {.height = fit(std::sqrt(patches * form), grid.rows),
            .width = fit(std::sqrt(patches / form), grid.columns)};
  }

  /// A block of this size at a random place in each sample, (N, P).
  static at::Tensor block_of(int64_t samples, const PatchGrid& grid, const BlockSize& size) {
    const auto within = [&](int64_t length, int64_t all) {  // (N, all)
      const at::Tensor first = at::randint(0, all - length + 1, {samples, 1}, at::kLong);
      const at::Tensor places = at::arange(all, at::kLong).unsqueeze(0);
      return places.ge(first).logical_and(places.lt(first + length));
    };
    const at::Tensor rows = within(size.height, grid.rows);  // drawn in this order
    const at::Tensor columns = within(size.width, grid.columns);
    return rows.unsqueeze(2).logical_and(columns.unsqueeze(1)).flatten(1);
  }

  /// One size for all blocks of a batch, as in the published code. No block is the whole grid: a
  /// row or a column is left out.
  std::vector<at::Tensor> draw_targets(int64_t samples, const PatchGrid& grid) const {
    constexpr double flattest = 0.75;
    constexpr double steepest = 1.5;
    const double share = between(options_.target_scale_min, options_.target_scale_max);
    BlockSize size = block_size(grid, share, between(flattest, steepest));
    if (size.height == grid.rows && size.width == grid.columns) {
      --(size.height > 1 ? size.height : size.width);
    }
    std::vector<at::Tensor> blocks;
    for (int64_t i = 0; i < options_.targets; ++i) {
      blocks.push_back(block_of(samples, grid, size));
    }
    leave_context(blocks);
    return blocks;
  }

  /// On small grids a sample's blocks can hide all patches between them. A block that would hide
  /// the last ones is the sample's first block once more, so that each sample keeps a context and
  /// as many tokens to predict.
  static void leave_context(std::vector<at::Tensor>& blocks) {
    at::Tensor hidden = blocks.front();
    for (size_t i = 1; i < blocks.size(); ++i) {
      const at::Tensor all = hidden.logical_or(blocks[i]).all(1, /*keepdim=*/true);
      blocks[i] = at::where(all, blocks.front(), blocks[i]);
      hidden = hidden.logical_or(blocks[i]);
    }
  }

  /// The patches that the backbone sees, (N, K): K is the smallest count among the samples; others
  /// leave out their last ones, as in the published code.
  at::Tensor draw_context(int64_t samples, const PatchGrid& grid,
                          const std::vector<at::Tensor>& targets) const {
    const double share = between(options_.context_scale_min, options_.context_scale_max);
    const at::Tensor block = block_of(samples, grid, block_size(grid, share, 1.0));
    at::Tensor hidden = targets.front();
    for (const at::Tensor& target : targets) {
      hidden = hidden.logical_or(target);
    }
    at::Tensor seen = block.logical_and(hidden.logical_not());
    // Where targets cover the block, what lies around it.
    seen = seen.logical_or(
        hidden.logical_not().logical_and(seen.any(1, /*keepdim=*/true).logical_not()));
    const auto kept = seen.sum(1).min().item<int64_t>();
    const at::Tensor number = seen.to(at::kLong).cumsum(1);  // 1 for the first seen one
    return places_of(seen.logical_and(number.le(kept)));
  }

  static double between(double least, double most) {
    return least + (most - least) * at::rand({1}, at::kDouble).item<double>();
  }

  Options options_;
  TokenForm form_;
  std::shared_ptr<Backbone> teacher_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  at::Tensor mask_token_;
  Linear embedding_{nullptr};
  std::shared_ptr<Transformer> predictor_;
  Linear output_{nullptr};
};

}  // namespace

void add_i_jepa(Registrar& registrar) {
  registrar.add<Pretext, IJepa>(
      {.name = "i-jepa",
       .summary = "predicts a slowly moving teacher's tokens of blocks from those of other patches",
       .source = "Assran et al. 2023, arXiv 2301.08243, section 3"},
      schema());
}

}  // namespace bissl
