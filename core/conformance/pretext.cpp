#include "bissl/pretext.h"

#include "conformance/checker.h"
#include "conformance/differences.h"
#include "conformance/samples.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

namespace bissl {
namespace {

constexpr int64_t samples = 8;

/// The task on the sample backbone, in double precision.
class Trial {
 public:
  explicit Trial(const Checker& checker) : backbone(sample_backbone()) {
    seed_generator(6);
    pretext = checker.make<Pretext>({.features = sample_features});
    convert_to_double(pretext->module());
    set_training(pretext->module(), true);
    views = normal_numbers(
        {pretext->views(), samples, sample_input.channels, sample_input.height, sample_input.width},
        31);
  }

  at::Tensor loss() const {
    const EvaluationGuard guard({&backbone->module(), &pretext->module()}, 1);
    const c10::AutoGradMode grad(true);
    return pretext->loss(*backbone, views);
  }

  TensorList parameters() const {
    TensorList all = tensors_of(trainable_parameters(backbone->module()));
    for (const auto& entry : trainable_parameters(pretext->module())) {
      all.push_back(entry.second);
    }
    return all;
  }

  std::shared_ptr<Backbone> backbone;
  std::shared_ptr<Pretext> pretext;
  at::Tensor views;
};

/// For a loss that says that samples do not couple: that of a batch is the mean of its halves'.
void require_no_coupling(const Trial& trial) {
  const c10::NoGradGuard no_grad;
  set_training(trial.backbone->module(), false);
  set_training(trial.pretext->module(), false);
  const auto loss = [&](int64_t first, int64_t count) {
    const EvaluationGuard guard({&trial.backbone->module(), &trial.pretext->module()}, 1);
    return trial.pretext->loss(*trial.backbone, trial.views.narrow(1, first, count)).item<double>();
  };
  const double whole = loss(0, samples);
  const double halves = 0.5 * (loss(0, samples / 2) + loss(samples / 2, samples / 2));
  set_training(trial.backbone->module(), true);
  set_training(trial.pretext->module(), true);
  require(std::abs(whole - halves) <= 1e-6 * (1 + std::abs(whole)),
          "couples_samples() is false, but a batch has the loss {} and its halves {} in the mean",
          whole, halves);
}

}  // namespace

void check_pretext(Checker& checker) {
  std::unique_ptr<Trial> trial;
  if (!checker.check("is made for a width of features, with at least one view", [&] {
        trial = std::make_unique<Trial>(checker);
        require(trial->pretext->views() >= 1, "views() is {}", trial->pretext->views());
      })) {
    return;
  }
  if (!checker.check("the loss is a finite scalar with a graph", [&] {
        const at::Tensor loss = trial->loss();
        require(loss.numel() == 1, "the loss has {} elements", loss.numel());
        require(all_finite({loss}), "the loss is {}", loss.item<double>());
        require(loss.requires_grad(), "the loss does not depend on the backbone's parameters");
      })) {
    return;
  }
  checker.check("a pass that is no training leaves no trace", [&] {
    const TensorList backbone = copy(tensors_of(module_state(trial->backbone->module())));
    const TensorList own = copy(tensors_of(module_state(trial->pretext->module())));
    const double first = trial->loss().item<double>();
    for (int i = 0; i < 3; ++i) {
      require(trial->loss().item<double>() == first,
              "the loss changes from call to call although buffers and generator are restored: "
              "some state is elsewhere");
    }
    const TensorList backbone_now = tensors_of(module_state(trial->backbone->module()));
    const TensorList own_now = tensors_of(module_state(trial->pretext->module()));
    for (size_t i = 0; i < backbone.size(); ++i) {
      require(backbone[i].equal(backbone_now[i]), "a parameter of the backbone changed");
    }
    for (size_t i = 0; i < own.size(); ++i) {
      require(own[i].equal(own_now[i]), "a parameter of the task changed");
    }
  });
  const LossFunction loss = [&] { return trial->loss(); };
  const TensorList parameters = trial->parameters();
  if (checker.check("the gradient is that of the loss",
                    [&] { require_gradient(loss, parameters); })) {
    checker.check("the second derivative is that of the gradient",
                  [&] { require_second_derivative(loss, parameters); });
  } else {
    checker.skip("the second derivative is that of the gradient", "the first one is not right");
  }
  if (trial->pretext->couples_samples()) {
    checker.skip("the batch couples as declared", "it is declared as coupled, which always holds");
  } else {
    checker.check("the batch couples as declared", [&] { require_no_coupling(*trial); });
  }
  checker.check("after_step can be called after a step", [&] {
    const c10::NoGradGuard no_grad;
    trial->pretext->after_step(*trial->backbone);
    require(all_finite({trial->loss()}), "the loss is not finite afterwards");
  });
}

}  // namespace bissl
