#include "stages/bissl/head_fit.h"

#include "bissl/downstream_abilities.h"
#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "numerics/logistic_regression.h"
#include "stages/agreement.h"
#include "stages/memory.h"
#include "stages/networks.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/div.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/mul.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace bissl::host {
namespace {

/// Numbers that no network would have by chance.
at::Tensor trial_numbers(at::IntArrayRef shape, double frequency, const at::Tensor& like) {
  const int64_t count = c10::multiply_integers(shape);
  return at::arange(count, at::kDouble).mul(frequency).sin().view(shape).to(like.options());
}

/// Training or evaluation mode for as long as it lives.
class InMode {
 public:
  InMode(torch::nn::Module& module, bool training)
      : module_(module), training_(is_training(module)) {
    set_training(module_, training);
  }
  ~InMode() { set_training(module_, training_); }
  InMode(const InMode&) = delete;
  InMode& operator=(const InMode&) = delete;

 private:
  torch::nn::Module& module_;
  bool training_;
};

/// The rows of all views of a source: that of view v of image i is row v · images + i.
struct CachedFeatures {
  at::Tensor features;
  at::Tensor labels;
  int64_t images = 0;
};

/// The backbone is in training mode, as in the upper level's steps: batch normalisation takes the
/// statistics of batches of the same size, drawn from all classes. Its buffers and LibTorch's
/// generator are as they were afterwards.
CachedFeatures cache_features(const StageContext& context, Backbone& backbone,
                              const HeadFitData& data) {
  const c10::NoGradGuard no_grad;
  const InMode training(backbone.module(), true);
  const EvaluationGuard guard({&backbone.module()}, context.seed_for("head-fit/noise"));
  const auto source = make_labelled_batches(context, "upper.data", data.data, data.augment,
                                            {.batch = data.batch,
                                             .order = Order::shuffled,
                                             .seed = context.seed_for("head-fit"),
                                             .purpose = "bissl/head-fit"});
  const int64_t images = source->samples();
  const int64_t rows = images * data.views;
  CachedFeatures cached = {.features = at::empty({rows, backbone.features()}, at::kFloat),
                           .labels = at::empty({rows}, at::kLong),
                           .images = images};
  const int64_t count = (rows + data.batch - 1) / data.batch;
  Prefetcher batches(source, 0, count, context.settings.loader_threads);
  for (int64_t i = 0; i < count; ++i) {
    stop_if_any_interrupted();
    if (context.settings.confirm) {
      context.settings.confirm();
    }
    const Batch batch = batches.next();
    // An epoch has each image once. The last batch's samples beyond the last epoch are left out.
    const int64_t first = i * data.batch;
    const int64_t taken = std::min(data.batch, rows - first);
    const at::Tensor view = at::arange(first, first + taken).div(images, "floor");
    const at::Tensor places = batch.indices.narrow(0, 0, taken) + view * images;
    const at::Tensor features = backbone.forward(batch.views[0]).to(at::kCPU, at::kFloat);
    cached.features.index_copy_(0, places, features.narrow(0, 0, taken));
    cached.labels.index_copy_(0, places, batch.targets.dense.to(at::kCPU).narrow(0, 0, taken));
  }
  return cached;
}

LogitScore score_head(const LinearHead& head, const CachedFeatures& cached) {
  const c10::NoGradGuard no_grad;
  const at::Tensor weight = head.weight.detach().to(at::kCPU, at::kFloat);
  const at::Tensor bias = head.bias.detach().to(at::kCPU, at::kFloat);
  const at::Tensor logits = at::addmm(bias, cached.features, weight.t());
  return score_logits(logits, cached.labels);
}

}  // namespace

std::optional<LinearHead> linear_head(Downstream& downstream, const TargetSpec& targets,
                                      int64_t features) {
  if (targets.kind != TargetKind::category || capability<MapHead>(downstream) != nullptr ||
      capability<TokenHead>(downstream) != nullptr) {
    return std::nullopt;
  }
  const NamedTensors parameters = trainable_parameters(downstream.module());
  if (parameters.size() != 2 || module_state(downstream.module()).size() != 2) {
    return std::nullopt;
  }
  LinearHead head;
  for (const auto& [name, tensor] : parameters) {
    (tensor.dim() == 2 ? head.weight : head.bias) = tensor;
  }
  const std::vector<int64_t> matrix = {targets.width, features};
  if (!head.weight.defined() || !head.bias.defined() || head.weight.sizes() != matrix ||
      head.bias.sizes() != std::vector<int64_t>{targets.width}) {
    return std::nullopt;
  }
  const c10::NoGradGuard no_grad;
  const InMode evaluation(downstream.module(), false);
  const TensorList own = {head.weight.detach().clone(), head.bias.detach().clone()};
  head.weight.copy_(trial_numbers(head.weight.sizes(), 1.3, head.weight));
  head.bias.copy_(trial_numbers(head.bias.sizes(), 2.1, head.bias));
  const at::Tensor x = trial_numbers({3, features}, 0.7, head.weight);
  const at::Tensor expected = at::addmm(head.bias, x, head.weight.t());
  at::Tensor found;
  try {
    found = downstream.forward(x);
  } catch (...) {
    head.weight.copy_(own[0]);
    head.bias.copy_(own[1]);
    throw;
  }
  head.weight.copy_(own[0]);
  head.bias.copy_(own[1]);
  const bool same =
      found.sizes() == expected.sizes() && found.allclose(expected, /*rtol=*/1e-4, /*atol=*/1e-4);
  return same ? std::optional(head) : std::nullopt;
}

HeadFitReport fit_head(const StageContext& context, Backbone& backbone, const LinearHead& head,
                       const HeadFitData& data) {
  const CachedFeatures cached = cache_features(context, backbone, data);
  LogisticFit fit =
      fit_logistic_regression(cached.features, cached.labels, head.weight.size(0),
                              {.seed = context.seed_for("head-fit"), .samples = cached.images});
  HeadFitReport report;
  report.rows = cached.labels.size(0);
  report.loss_before = score_head(head, cached).loss;
  {
    const c10::NoGradGuard no_grad;
    head.weight.copy_(fit.weight);
    head.bias.copy_(fit.bias);
  }
  const LogitScore after = score_head(head, cached);
  report.loss = after.loss;
  report.accuracy = after.accuracy;
  report.ridge = fit.ridge;
  report.held_out_loss = fit.held_out_loss;
  report.held_out_accuracy = fit.held_out_accuracy;
  report.converged = fit.converged;
  return report;
}

}  // namespace bissl::host
