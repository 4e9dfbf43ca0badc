#include "bissl/backbone.h"

#include "bissl/backbone_abilities.h"
#include "bissl/error.h"
#include "conformance/advice.h"
#include "conformance/backbone_checks.h"
#include "conformance/differences.h"
#include "conformance/module_record.h"
#include "conformance/replay.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "plugins/child_process.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>

#include <algorithm>

namespace bissl::host {

at::Tensor sample_images(int64_t samples, const ImageShape& shape, uint64_t seed) {
  return normal_numbers({samples, shape.channels, shape.height, shape.width}, seed).to(at::kFloat);
}

std::shared_ptr<Backbone> make_seeded(const Checker& checker, const ImageShape& shape,
                                      uint64_t seed) {
  seed_generator(seed);
  return checker.make<Backbone>({shape});
}

namespace {

constexpr int64_t samples = 4;

/// A scalar of the features that depends on all of them.
at::Tensor loss_of(const at::Tensor& features) {
  const at::Tensor weights =
      normal_numbers({features.size(0), features.size(1)}, 22).to(features.scalar_type());
  return (features * weights).sum() + features.square().sum();
}

class BackboneLearner : public Learner {
 public:
  BackboneLearner(std::shared_ptr<Backbone> backbone, const ImageShape& shape)
      : backbone_(std::move(backbone)), shape_(shape) {
    set_training(backbone_->module(), true);
  }
  std::vector<std::pair<std::string, torch::nn::Module*>> modules() override {
    return {{"the backbone", &backbone_->module()}};
  }
  at::Tensor loss(int64_t step) override {
    return loss_of(backbone_->forward(sample_images(samples, shape_, 900 + uint64_t(step))));
  }

 private:
  std::shared_ptr<Backbone> backbone_;
  ImageShape shape_;
};

void require_features(Backbone& backbone, const at::Tensor& images) {
  const at::Tensor output = backbone.forward(images);
  require(output.defined(), "forward gave an undefined tensor");
  require(output.dim() == 2 && output.size(0) == images.size(0) &&
              output.size(1) == backbone.features(),
          "{} images gave shape {}, features() is {}", images.size(0),
          fmt::format("{}", fmt::join(output.sizes(), "x")), backbone.features());
  require(output.scalar_type() == images.scalar_type(),
          "images are of type {} and features of type {}: give them the type of the images "
          "(tensor.options())",
          c10::toString(images.scalar_type()), c10::toString(output.scalar_type()));
  require(all_finite({output}), "some features are not finite");
}

void require_same_state(const torch::nn::Module& a, const torch::nn::Module& b,
                        const std::string& where) {
  ModuleRecord(a, "the backbone").require_same_structure(b, "in another instance");
  const NamedTensors first = module_state(a);
  const NamedTensors second = module_state(b);
  for (size_t i = 0; i < first.size(); ++i) {
    require(!first[i].tensor.is_same(second[i].tensor) &&
                (first[i].tensor.numel() == 0 ||
                 first[i].tensor.data_ptr() != second[i].tensor.data_ptr()),
            "two instances share \"{}\"", first[i].name);
    require(same_bits(first[i].tensor, second[i].tensor),
            "\"{}\" differs {} although LibTorch's generator began alike: draw from it alone",
            first[i].name, where);
  }
}

/// What a generator's state is after the factory, for two seeds, must differ.
void require_generator_kept(const Checker& checker, const ImageShape& shape) {
  TensorList states;
  for (const uint64_t seed : {4, 5}) {
    make_seeded(checker, shape, seed);
    states.push_back(generator_state());
  }
  require(!states[0].equal(states[1]),
          "the factory sets the seed of LibTorch's generator: that is the host's, and all runs "
          "would start from the same weights whatever their seed. Draw from it as it is");
}

/// Makes the weights once more in another process, a second later.
void require_same_weights_elsewhere(const Checker& checker, const FittedBackbone& fitted,
                                    const torch::nn::Module& expected) {
  const ChildOutcome outcome = run_in_child(std::chrono::seconds(30), [&](const SendLine& send) {
    at::set_num_threads(1);
    let_a_second_pass();
    try {
      const auto other = make_seeded(checker, fitted.input);
      require_same_state(expected, other->module(), "in another process, a second later,");
      send("done");
    } catch (const std::exception& exception) {
      send(with_advice(exception.what()));
    }
  });
  const std::string answer = outcome.answer.substr(0, outcome.answer.find('\n'));
  require(!answer.empty(), "no instance could be made in another process{}",
          quoted_words(outcome.words));
  // A factory may differentiate; its weights are then compared within this process alone.
  require(answer == "done" || is_refused_after_fork(answer), "{}", answer);
}

void require_alike_but_independent(const Checker& checker, const FittedBackbone& fitted) {
  const auto first = make_seeded(checker, fitted.input);
  const auto second = make_seeded(checker, fitted.input);
  require_same_state(first->module(), second->module(), "in another instance");
  require(first->features() == second->features() && first->features() == first->features(),
          "features() differs from call to call, or from instance to instance");
  require(&first->module() == &first->module(), "module() is another module at each call");
  require_no_nan(first->module(), "the backbone", "when the factory returns");
  require_same_weights_elsewhere(checker, fitted, second->module());
  require_generator_kept(checker, fitted.input);
  // An instance that trains must not move the other.
  const c10::NoGradGuard no_grad;
  const at::Tensor images = sample_images(samples, fitted.input);
  set_training(second->module(), false);
  const at::Tensor before = second->forward(images).clone();
  BackboneLearner learner(first, fitted.input);
  for (int64_t step = 0; step < 3; ++step) {
    train(learner, step);
  }
  require(second->forward(images).equal(before),
          "the features of an instance change when another one is trained: they share something "
          "(a static, a global)");
}

void require_training_keeps_weights(const Checker& checker, const FittedBackbone& fitted) {
  const auto backbone = make_seeded(checker, fitted.input);
  set_training(backbone->module(), true);
  const ModuleRecord made(backbone->module(), "the backbone");
  for (uint64_t i = 0; i < 6; ++i) {
    const ModuleRecord record(backbone->module(), "the backbone");
    const at::Tensor images = sample_images(samples, fitted.input, 50 + i);
    const at::Tensor given = images.clone();
    {
      const c10::AutoGradMode grad(true);
      const at::Tensor output = backbone->forward(given);
      const bool still_on = c10::GradMode::is_enabled();
      require(still_on, "forward leaves gradient mode off; use a guard object (NoGradGuard)");
    }
    require(given.equal(images), "forward changes the images that it is given: clone them first");
    require(!given.requires_grad(),
            "forward switches requires_grad of the images on: use detach()");
    made.require_same_structure(backbone->module(), "after forward");
    record.require_same_tensors("forward");
    record.require_same_values(ModuleRecord::Part::parameters, "forward");
    record.require_same_gradients("forward");
    record.require_same_modes("forward");
    require_no_nan(backbone->module(), "the backbone", "after forward");
  }
}

void require_copy_computes_same(const Checker& checker, const FittedBackbone& fitted) {
  const c10::NoGradGuard no_grad;
  const at::Tensor images = sample_images(samples, fitted.input);
  Backbone& backbone = *fitted.backbone;
  const auto other = make_seeded(checker, fitted.input, 8);
  copy_state(backbone.module(), other->module());
  set_training(backbone.module(), false);
  set_training(other->module(), false);
  require(backbone.forward(images).equal(other->forward(images)),
          "features differ: some state is neither a parameter nor a buffer");
  set_training(backbone.module(), true);
}

/// Shapes that are not square, made from one that is taken: refused as wrong input, or taken.
void require_other_shapes(const Checker& checker, const FittedBackbone& fitted) {
  const auto [channels, height, width] = fitted.input;
  for (const ImageShape& shape :
       {ImageShape{channels, height, 2 * width}, ImageShape{channels, 2 * height, width}}) {
    const std::string images = fmt::format("images of {}x{} pixels", shape.height, shape.width);
    try {
      const c10::NoGradGuard no_grad;
      const auto backbone = make_seeded(checker, shape);
      set_training(backbone->module(), false);
      require_features(*backbone, sample_images(2, shape));
    } catch (const Error& error) {
      require(error.kind() == ErrorKind::input,
              "{} fail: {}. Refuse what you cannot take as wrong input, with fail_input", images,
              error.what());
    } catch (const std::exception& exception) {
      throw Violation(
          fmt::format("{} fail: {}. Take them, or refuse them as wrong input, with fail_input",
                      images, with_advice(exception.what())));
    }
  }
}

void check_depths(Checker& checker, Backbone& backbone) {
  auto* layers = bissl::capability<LayerDepths>(backbone);
  if (layers == nullptr) {
    return;
  }
  checker.check("the depths of its layers lie within their number", [&] {
    const int64_t depths = layers->depths();
    require(depths >= 1, "depths() is {}", depths);
    for (const auto& [name, tensor] : trainable_parameters(backbone.module())) {
      const int64_t depth = layers->depth_of(name);
      require(depth >= 0 && depth <= depths, "depth_of(\"{}\") is {}; depths() is {}", name, depth,
              depths);
      require(layers->depth_of(name) == depth, "depth_of(\"{}\") differs from call to call", name);
    }
  });
}

void require_parameters_move(const at::Tensor& loss, const TensorList& parameters) {
  require(loss.requires_grad(),
          "the features do not depend on the parameters: the graph is cut off, by detach() or a "
          "NoGradGuard");
  const TensorList gradients = gradients_of(loss, parameters);
  require(all_finite(gradients), "the gradient is not finite");
  require(norm(gradients) > 0, "the gradient is 0 in all parameters: nothing would train");
}

void check_derivatives(Checker& checker, const FittedBackbone& fitted) {
  constexpr const char* second_name = "the second derivative is that of the gradient";
  constexpr const char* several_name = "processes that share a batch compute what one computes";
  const auto precise = make_seeded(checker, fitted.input);
  convert_to_double(precise->module());
  set_training(precise->module(), true);
  const at::Tensor inputs = sample_images(samples, fitted.input).to(at::kDouble);
  const LossFunction loss = [&] {
    const EvaluationGuard guard({&precise->module()}, 1);
    const c10::AutoGradMode grad(true);
    return loss_of(precise->forward(inputs));
  };
  const TensorList parameters = tensors_of(trainable_parameters(precise->module()));
  const bool differentiable =
      checker.check("the gradient is that of the features (training mode, double precision)", [&] {
        {
          const c10::NoGradGuard no_grad;
          const EvaluationGuard guard({&precise->module()}, 1);
          require_features(*precise, inputs);
        }
        require_parameters_move(loss(), parameters);
        require_gradient(loss, parameters);
      });
  if (differentiable) {
    checker.check(second_name, [&] { require_second_derivative(loss, parameters); });
    checker.check(several_name, [&] { require_same_by_several(checker, fitted); });
  } else {
    checker.skip(second_name, "the first one is not right");
    checker.skip(several_name, "the gradient is not right");
  }
}

}  // namespace

void check_backbone(Checker& checker) {
  FittedBackbone fitted;
  if (!checker.check("takes images", [&] { fitted = make_backbone_for_some_input(checker); })) {
    return;
  }
  const ImageShape shape = fitted.input;
  // Early, since little of the library's code must have run in this process.
  checker.check("training continues with the same bits from parameters and buffers", [&] {
    require_resumable([&](uint64_t seed) {
      return std::make_unique<BackboneLearner>(make_seeded(checker, shape, seed), shape);
    });
  });
  checker.check("gives finite features of the width that it says", [&] {
    const c10::NoGradGuard no_grad;
    for (const bool training : {true, false}) {
      set_training(fitted.backbone->module(), training);
      for (const int64_t count : {2, 3, 4}) {
        require_features(*fitted.backbone, sample_images(count, shape));
      }
    }
    set_training(fitted.backbone->module(), true);
  });
  checker.check("has parameters that train, with names", [&] {
    require(!trainable_parameters(fitted.backbone->module()).empty(),
            "no parameter requires a gradient");
  });
  checker.check("instances are alike but independent, and one generator gives the same weights",
                [&] { require_alike_but_independent(checker, fitted); });
  checker.check("a copy by names computes the same",
                [&] { require_copy_computes_same(checker, fitted); });
  checker.check("forward leaves images, weights, names and modes alone",
                [&] { require_training_keeps_weights(checker, fitted); });
  check_evaluation(checker, fitted);
  checker.check("takes images that are not square, or refuses them as wrong input",
                [&] { require_other_shapes(checker, fitted); });
  check_derivatives(checker, fitted);
  check_backbone_abilities(checker, fitted);
  check_depths(checker, *fitted.backbone);
}

}  // namespace bissl::host
