#include "components.h"
#include "momentum.h"
#include "multi_crop.h"
#include "on_device.h"
#include "patches.h"
#include "projector.h"
#include "prototypes.h"
#include "vectors.h"

#include "bissl/error.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"
#include "bissl/teacher.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {2048, 2048, 256};
  int64_t prototypes = 1024;
  double mask_ratio = 0.15;
  double temperature = 0.1;
  double teacher_temperature = 0.025;
  double entropy_weight = 1.0;
  MomentumOptions momentum{};
};

constexpr ProjectorForm projector_form = {.last_bias = true};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form, Heads::with_teacher);
  schema
      .add("prototypes", &Options::prototypes,
           "learnt directions that views are assigned to; more than the data has classes")
      .at_least(2);
  schema
      .add("mask_ratio", &Options::mask_ratio,
           "share of the patches of full-size views that the student does not see")
      .at_least(0)
      .less_than(1);
  schema
      .add("temperature", &Options::temperature, "divides the student's similarities to prototypes")
      .more_than(0);
  schema
      .add("teacher_temperature", &Options::teacher_temperature,
           "divides the teacher's: smaller than temperature, so that the targets are sharper")
      .more_than(0);
  schema
      .add("entropy_weight", &Options::entropy_weight,
           "weight λ of the entropy of the mean prediction, which keeps all prototypes in use")
      .at_least(0);
  schema.embed(&Options::momentum, momentum_schema());
  return schema;
}

/// The teacher sees the first view, whole; the student sees the others, those of the first one's
/// size with some patches left out.
class Msn : public Pretext {
 public:
  Msn(const Options& options, const PretextContext& context)
      : options_(options),
        form_(require_tokens(context)),
        views_(declared_views(context)),
        projector_(module_->register_module("projector", make())),
        prototypes_(module_->register_parameter(
            "prototypes", at::randn({options.prototypes, options.projector.back()}))),
        teacher_projector_(make()),
        teacher_(*module_, context, teacher_projector_.ptr(), *projector_) {
    require_prototypes("msn", options.prototypes, context);
    if (options.mask_ratio > 0) {
      require_none_larger(context.views);
    }
    const ImageShape& full = context.views.at(0);
    hidden_of(grid_of(form_.patch, full.height, full.width, form_.backbone));
    // What the targets are made of stays as it is while a loss is differentiated.
    teacher_prototypes_ = module_->register_parameter(
        "teacher_prototypes", prototypes_.detach().clone(), /*requires_grad=*/false);
  }

  int64_t views() const override { return views_; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }

  /// Equation 1: cross entropies of the student's assignments with the teacher's, less λ times the
  /// entropy of their mean.
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const Views& views = batch.views;
    require_two_samples(views[0], "msn normalises over the samples of a batch");
    const at::Tensor target = assigned_by_teacher(views[0]);
    TensorList features;
    for (size_t i = 1; i < views.size(); ++i) {
      const bool masked = views[i].sizes() == views[0].sizes();
      features.push_back(representation(backbone, views[i], masked));
    }
    const at::Tensor logits =
        similarities(projector_->forward(at::cat(features)), prototypes_) / options_.temperature;
    const at::Tensor predicted = at::log_softmax(logits, 1);
    const at::Tensor targets = target.repeat({int64_t(features.size()), 1});
    const at::Tensor log_mean = predicted.logsumexp({0}) - std::log(double(predicted.size(0)));
    const at::Tensor entropy = -(log_mean.exp() * log_mean).sum();
    return -(targets * predicted).sum(1).mean() - options_.entropy_weight * entropy;
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    teacher_.follow(backbone, *projector_, momentum_at(options_.momentum, progress));
    teacher_prototypes_.copy_(prototypes_);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  torch::nn::Sequential make() const {
    return make_projector(form_.width, options_.projector, projector_form);
  }

  /// The student would see such a view with nothing left out.
  static void require_none_larger(const std::vector<ImageShape>& views) {
    const ImageShape& first = views.at(0);
    for (size_t i = 1; i < views.size(); ++i) {
      if (views[i].height > first.height || views[i].width > first.width) {
        fail_input(
            "msn leaves patches out of views of the first one's size, {}x{}, and view {} is "
            "larger, {}x{}: the student would see all of it. Name the full-size views first",
            first.height, first.width, i + 1, views[i].height, views[i].width);
      }
    }
  }

  int64_t hidden_of(const PatchGrid& grid) const {
    return options_.mask_ratio > 0 ? share_of("mask_ratio", options_.mask_ratio, grid.places()) : 0;
  }

  static at::Tensor similarities(const at::Tensor& rows, const at::Tensor& prototypes) {
    return products(unit(rows), unit(prototypes));
  }

  /// The first extra token, a class token; the mean over the patches where there is none.
  at::Tensor representation(Backbone& backbone, const at::Tensor& view, bool masked) const {
    PatchSelection selection;
    const PatchGrid grid = form_.grid(view);
    if (masked && hidden_of(grid) > 0) {
      const at::Tensor mask = random_places(view.size(0), grid.places(), hidden_of(grid));
      selection.kept = on_device_of(view, places_of(mask.logical_not()));
    }
    const at::Tensor tokens = bissl::capability<Tokens>(backbone)->tokens(view, selection);
    return form_.extra > 0 ? tokens.select(1, 0) : tokens.mean(1);
  }

  at::Tensor assigned_by_teacher(const at::Tensor& view) {
    const c10::NoGradGuard no_grad;
    const at::Tensor rows =
        teacher_projector_->forward(representation(teacher_.backbone(), view, /*masked=*/false));
    return at::softmax(similarities(rows, teacher_prototypes_) / options_.teacher_temperature, 1);
  }

  Options options_;
  TokenForm form_;
  int64_t views_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  at::Tensor prototypes_;
  torch::nn::Sequential teacher_projector_;
  Teacher teacher_;
  at::Tensor teacher_prototypes_;  ///< equal to prototypes_ between steps
};

}  // namespace

void add_msn(Registrar& registrar) {
  registrar.add<Pretext, Msn>(
      {.name = "msn",
       .summary = "assigns masked views to prototypes as a slowly moving teacher does a whole view",
       .source = "Assran et al. 2022, arXiv 2204.07141, equation 1"},
      schema());
}

}  // namespace bissl
