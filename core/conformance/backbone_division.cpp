// What a backbone computes where several processes share a batch.

#include "bissl/error.h"
#include "conformance/backbone_checks.h"
#include "conformance/divided_processes.h"
#include "models/divided.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

namespace bissl::host {
namespace {

/// Parts of 2 and of 3 processes are of several sizes.
constexpr int64_t shared_samples = 7;

/// What a training pass gives and leaves.
struct TrainingPass {
  at::Tensor features;
  TensorList gradients;  ///< of a scalar that depends on all features
  TensorList buffers;
};

std::shared_ptr<Backbone> make_precise(const Checker& checker, const ImageShape& shape) {
  auto backbone = make_seeded(checker, shape);
  convert_to_double(backbone->module());
  set_training(backbone->module(), true);
  return backbone;
}

TrainingPass pass_of(Backbone& backbone, const std::function<at::Tensor()>& forward) {
  const c10::AutoGradMode grad(true);
  TrainingPass pass;
  const at::Tensor features = forward();
  const at::Tensor weights =
      normal_numbers({features.size(0), features.size(1)}, 22).to(features.scalar_type());
  pass.features = features.detach().clone();
  pass.gradients = gradients_of((features * weights).sum() + features.square().sum(),
                                tensors_of(trainable_parameters(backbone.module())));
  for (const at::Tensor& buffer : backbone.module().buffers()) {
    pass.buffers.push_back(buffer.detach().to(at::kDouble).clone());
  }
  return pass;
}

/// One process, as each of several.
TrainingPass pass_alone(const Checker& checker, const ImageShape& shape, const at::Tensor& images) {
  const auto backbone = make_precise(checker, shape);
  seed_generator(23);
  const at::Tensor before = generator_state();
  TrainingPass pass = pass_of(*backbone, [&] { return backbone->forward(images); });
  if (!generator_state().equal(before)) {
    throw NotApplicable(
        "it draws random numbers in training, of which each process has others for its part");
  }
  return pass;
}

std::vector<TrainingPass> passes_of(int processes, const Checker& checker, const ImageShape& shape,
                                    const at::Tensor& images) {
  std::vector<std::shared_ptr<Backbone>> backbones;
  for (int rank = 0; rank < processes; ++rank) {
    backbones.push_back(make_precise(checker, shape));
  }
  std::vector<TrainingPass> passes(backbones.size());
  DividedProcesses(processes).run([&](int rank, const DividedProcesses::Sum& sum) {
    Backbone& backbone = *backbones[static_cast<size_t>(rank)];
    const BatchPart part = part_of(shared_samples, rank, processes);
    passes[static_cast<size_t>(rank)] = pass_of(backbone, [&] {
      const DividedBatch scope(sum);
      return rows_of_all(backbone.forward(part.of(images)), part, shared_samples);
    });
  });
  return passes;
}

bool is_near(const TensorList& found, const TensorList& expected) {
  TensorList difference = copy(found);
  add_scaled(difference, -1.0, expected);
  return norm(difference) <= 1e-6 * (norm(expected) + 1);
}

void require_same_as_alone(const TrainingPass& alone, const std::vector<TrainingPass>& passes) {
  constexpr const char* advice =
      "what mixes the samples of a batch has to add up over the parts of all processes. Normalise "
      "with bissl::BatchNorm (bissl/modules.h) or LibTorch's modules, or use sum_over_parts "
      "(bissl/divided_batch.h)";
  const size_t processes = passes.size();
  TensorList mean = zeros_like(alone.gradients);
  for (const TrainingPass& pass : passes) {
    require(is_near({pass.features}, {alone.features}),
            "{} processes that share a batch have other features in training than one: {}",
            processes, advice);
    require(is_near(pass.buffers, alone.buffers),
            "{} processes that share a batch leave other buffers than one: {}", processes, advice);
    add_scaled(mean, 1.0 / static_cast<double>(processes), pass.gradients);
  }
  require(is_near(mean, alone.gradients),
          "the gradients that {} processes find, which share a batch, are not that of one in the "
          "mean: {}",
          processes, advice);
}

}  // namespace

void require_same_by_several(const Checker& checker, const FittedBackbone& fitted) {
  const at::Tensor images = sample_images(shared_samples, fitted.input).to(at::kDouble);
  const TrainingPass alone = pass_alone(checker, fitted.input, images);
  for (const int processes : {2, 3}) {
    try {
      require_same_as_alone(alone, passes_of(processes, checker, fitted.input, images));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) {
        throw;
      }
      throw NotApplicable(
          fmt::format("it refuses batches that several processes share: {}", error.what()));
    }
  }
}

}  // namespace bissl::host
