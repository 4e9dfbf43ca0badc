#include "conformance/backbone_checks.h"
#include "conformance/module_record.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

namespace bissl::host {
namespace {

constexpr int64_t scored_samples = 5;

std::string shape_of(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

/// Features of a network in evaluation mode, with their shape checked.
at::Tensor scores(Backbone& backbone, const at::Tensor& images) {
  const c10::NoGradGuard no_grad;
  set_training(backbone.module(), false);
  const at::Tensor output = backbone.forward(images);
  require(output.dim() == 2 && output.size(0) == images.size(0) &&
              output.size(1) == backbone.features(),
          "{} images gave features of shape {} in evaluation mode; [{}, {}] is expected",
          images.size(0), shape_of(output), images.size(0), backbone.features());
  return output;
}

void require_same_features(const at::Tensor& expected, const at::Tensor& found,
                           const std::string& what) {
  require(norm({found - expected}) <= 1e-4 * (norm({expected}) + 1), "{}", what);
}

void require_independent_samples(Backbone& backbone, const at::Tensor& images) {
  const at::Tensor together = scores(backbone, images).clone();
  for (int64_t i = 0; i < images.size(0); ++i) {
    require_same_features(
        together.narrow(0, i, 1), scores(backbone, images.narrow(0, i, 1)),
        fmt::format("the features of sample {} of a batch are others than those of the same image "
                    "alone: a sample's features change with its neighbours",
                    i));
  }
  const at::Tensor reversed = scores(backbone, images.flip(0)).flip(0);
  for (int64_t i = 0; i < images.size(0); ++i) {
    require_same_features(
        together.narrow(0, i, 1), reversed.narrow(0, i, 1),
        fmt::format("the features of sample {} change when the batch is put in reverse order: a "
                    "sample's features change with its neighbours",
                    i));
  }
}

/// Different images have different features, at least some.
void require_images_matter(Backbone& backbone, const at::Tensor& images) {
  const at::Tensor features = scores(backbone, images);
  require(norm({features - features.narrow(0, 0, 1)}) > 0,
          "{} different images have the same features: they do not depend on the image",
          images.size(0));
}

void require_stateless(Backbone& backbone, const at::Tensor& images, const at::Tensor& others) {
  set_training(backbone.module(), false);
  const ModuleRecord record(backbone.module(), "the backbone");
  const at::Tensor given = images.clone();
  seed_generator(31);
  const at::Tensor first = scores(backbone, given);
  const at::Tensor kept = first.clone();
  require(given.equal(images), "forward changes the images that it is given: clone them first");
  record.require_same_values(ModuleRecord::Part::all, "forward in evaluation mode");
  record.require_same_tensors("forward in evaluation mode");
  record.require_same_modes("forward in evaluation mode");
  for (int i = 0; i < 20; ++i) {
    scores(backbone, others);
  }
  require(first.equal(kept),
          "features that forward gave change in later calls: it gives the same memory each time. "
          "Return a new tensor");
  seed_generator(32);
  require(scores(backbone, images).equal(kept),
          "the same images have other features later, in evaluation mode: something is random "
          "(dropout that does not ask is_training()), or a state changes that is no buffer");
}

void require_black_images(Backbone& backbone, const at::Tensor& images) {
  require(all_finite({scores(backbone, at::zeros_like(images))}),
          "black images have features that are not finite");
}

}  // namespace

void check_evaluation(Checker& checker, const FittedBackbone& fitted) {
  Backbone& backbone = *fitted.backbone;
  const at::Tensor images = sample_images(scored_samples, fitted.input);
  const at::Tensor others = sample_images(scored_samples, fitted.input, 25);
  checker.check("in evaluation mode a sample does not depend on the others, nor change anything",
                [&] {
                  require_independent_samples(backbone, images);
                  require_stateless(backbone, images, others);
                });
  checker.check("different images have different features, all finite", [&] {
    require_images_matter(backbone, images);
    require_black_images(backbone, images);
  });
  set_training(backbone.module(), true);
}

}  // namespace bissl::host
