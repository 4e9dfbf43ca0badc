#include "bissl/backbone.h"

#include "conformance/checker.h"
#include "conformance/differences.h"
#include "conformance/samples.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

namespace bissl {
namespace {

constexpr int64_t samples = 4;

at::Tensor images_for(const ImageShape& shape) {
  return normal_numbers({samples, shape.channels, shape.height, shape.width}, 21).to(at::kFloat);
}

std::shared_ptr<Backbone> make_seeded(const Checker& checker, const ImageShape& shape) {
  seed_generator(4);
  return checker.make<Backbone>({shape});
}

void require_same_state(const torch::nn::Module& a, const torch::nn::Module& b) {
  const NamedTensors first = module_state(a);
  const NamedTensors second = module_state(b);
  require(first.size() == second.size(), "{} parameters and buffers, {} in another instance",
          first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) {
    require(first[i].first == second[i].first, "\"{}\" is called \"{}\" in another instance",
            first[i].first, second[i].first);
    require(first[i].second.sizes() == second[i].second.sizes(),
            "\"{}\" has another shape in another instance", first[i].first);
    require(!first[i].second.is_same(second[i].second) &&
                (first[i].second.numel() == 0 ||
                 first[i].second.data_ptr() != second[i].second.data_ptr()),
            "two instances share \"{}\"", first[i].first);
  }
}

}  // namespace

void check_backbone(Checker& checker) {
  FittedBackbone fitted;
  if (!checker.check("takes images", [&] { fitted = make_backbone_for_some_input(checker); })) {
    return;
  }
  Backbone& backbone = *fitted.backbone;
  const at::Tensor images = images_for(fitted.input);
  checker.check("gives finite features of the width that it says", [&] {
    const c10::NoGradGuard no_grad;
    for (const bool training : {true, false}) {
      set_training(backbone.module(), training);
      const at::Tensor output = backbone.forward(images);
      require(
          output.dim() == 2 && output.size(0) == samples && output.size(1) == backbone.features(),
          "{} images gave shape {}, features() is {}", samples,
          fmt::format("{}", fmt::join(output.sizes(), "x")), backbone.features());
      require(all_finite({output}), "some features are not finite");
    }
  });
  checker.check("has parameters that train, with names", [&] {
    require(!trainable_parameters(backbone.module()).empty(), "no parameter requires a gradient");
  });
  checker.check(
      "instances are alike but independent, and one generator gives the same weights", [&] {
        const auto first = make_seeded(checker, fitted.input);
        const auto second = make_seeded(checker, fitted.input);
        require_same_state(first->module(), second->module());
        const NamedTensors a = module_state(first->module());
        const NamedTensors b = module_state(second->module());
        for (size_t i = 0; i < a.size(); ++i) {
          require(a[i].second.equal(b[i].second),
                  "\"{}\" differs although LibTorch's generator began alike: draw from it alone",
                  a[i].first);
        }
      });
  checker.check("a copy by names computes the same", [&] {
    const c10::NoGradGuard no_grad;
    const auto other = checker.make<Backbone>({fitted.input});
    copy_state(backbone.module(), other->module());
    set_training(backbone.module(), false);
    set_training(other->module(), false);
    require(backbone.forward(images).equal(other->forward(images)),
            "features differ: some state is neither a parameter nor a buffer");
  });
  checker.check("in evaluation mode a sample does not depend on the others, nor change anything",
                [&] {
                  const c10::NoGradGuard no_grad;
                  set_training(backbone.module(), false);
                  const TensorList before = copy(tensors_of(module_state(backbone.module())));
                  const at::Tensor together = backbone.forward(images);
                  const at::Tensor alone = backbone.forward(images.narrow(0, 0, 1));
                  const double size = norm({alone});
                  require(norm({together.narrow(0, 0, 1) - alone}) <= 1e-4 * (size + 1),
                          "a sample's features change with its neighbours");
                  const TensorList after = tensors_of(module_state(backbone.module()));
                  for (size_t i = 0; i < after.size(); ++i) {
                    require(after[i].equal(before[i]), "\"{}\" changed",
                            module_state(backbone.module())[i].first);
                  }
                });

  const auto precise = make_seeded(checker, fitted.input);
  convert_to_double(precise->module());
  set_training(precise->module(), true);
  const at::Tensor inputs = images.to(at::kDouble);
  const at::Tensor weights = normal_numbers({samples, backbone.features()}, 22);
  const LossFunction loss = [&] {
    const EvaluationGuard guard({&precise->module()}, 1);
    const c10::AutoGradMode grad(true);
    const at::Tensor output = precise->forward(inputs);
    return (output * weights).sum() + output.square().sum();
  };
  const TensorList parameters = tensors_of(trainable_parameters(precise->module()));
  const bool differentiable =
      checker.check("the gradient is that of the features (training mode, double precision)",
                    [&] { require_gradient(loss, parameters); });
  if (differentiable) {
    checker.check("the second derivative is that of the gradient",
                  [&] { require_second_derivative(loss, parameters); });
  } else {
    checker.skip("the second derivative is that of the gradient", "the first one is not right");
  }
}

}  // namespace bissl
