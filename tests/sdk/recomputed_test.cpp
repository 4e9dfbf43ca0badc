// Networks whose blocks are computed again, beside the same networks with all their graph.

#include "bissl/recomputed.h"

#include "bissl/autocast.h"
#include "bissl/divided_batch.h"
#include "bissl/modules.h"
#include "bissl/tensor_list.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <memory>
#include <string>
#include <vector>

namespace bissl {
namespace {

/// Convolution, batch normalisation, a smooth activation, dropout, and the identity beside them.
class Block : public torch::nn::Module {
 public:
  Block() {
    convolution_ =
        register_module("conv", Conv2d(torch::nn::Conv2dOptions(3, 3, 3).padding(1).bias(false)));
    norm_ = register_module("norm", BatchNorm(3));
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor middle = sum_over_parts(at::tanh(norm_(convolution_(x))));
    middles_.push_back(middle.storage().getWeakStorageImpl());
    if (!is_training()) {
      return x + middle;
    }
    return x + middle * at::empty_like(middle).bernoulli_(0.5);
  }

  /// The results inside that are in memory.
  int64_t kept() const {
    int64_t kept = 0;
    for (const auto& middle : middles_) {
      kept += middle.expired() ? 0 : 1;
    }
    return kept;
  }
  size_t calls() const { return middles_.size(); }

 private:
  Conv2d convolution_{nullptr};
  BatchNorm norm_{nullptr};
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> middles_;
};

/// Three such blocks in double precision, from one seed.
struct Network {
  explicit Network(bool again) : recompute(again) {
    torch::manual_seed(3);
    for (int i = 0; i < 3; ++i) {
      blocks.push_back(std::make_shared<Block>());
      blocks.back()->to(at::kDouble);
    }
    torch::manual_seed(4);
  }

  at::Tensor forward(at::Tensor x) const {
    for (const auto& block : blocks) {
      const auto once = [raw = block.get()](const at::Tensor& in) { return raw->forward(in); };
      x = recompute ? recomputed(block, x, once) : once(x);
    }
    return x;
  }
  at::Tensor loss(const at::Tensor& x) const {
    const at::Tensor y = forward(x);
    return (y * y * y).mean() + y.square().mean();
  }
  TensorList parameters() const {
    TensorList all;
    for (const auto& block : blocks) {
      for (const at::Tensor& parameter : block->parameters()) {
        all.push_back(parameter);
      }
    }
    return all;
  }
  TensorList buffers() const {
    TensorList all;
    for (const auto& block : blocks) {
      for (const at::Tensor& buffer : block->buffers()) {
        all.push_back(buffer.clone());
      }
    }
    return all;
  }
  int64_t kept() const {
    int64_t kept = 0;
    for (const auto& block : blocks) {
      kept += block->kept();
    }
    return kept;
  }

  bool recompute;
  std::vector<std::shared_ptr<Block>> blocks;
};

at::Tensor images() {
  torch::manual_seed(1);
  return at::randn({4, 3, 5, 6}, at::kDouble);
}

at::Tensor generator() { return at::detail::getDefaultCPUGenerator().get_state(); }

/// Σ fields·directions, the same directions for a seed.
at::Tensor along(const TensorList& fields, uint64_t seed) {
  const at::Tensor before = generator();
  torch::manual_seed(seed);
  at::Tensor sum = (fields[0] * at::randn_like(fields[0])).sum();
  for (size_t i = 1; i < fields.size(); ++i) {
    sum = sum + (fields[i] * at::randn_like(fields[i])).sum();
  }
  at::Generator now = at::detail::getDefaultCPUGenerator();
  now.set_state(before);
  return sum;
}

TensorList gradients(const at::Tensor& scalar, const TensorList& inputs, bool more) {
  return torch::autograd::grad({scalar}, inputs, {}, true, more);
}

void expect_equal(const TensorList& found, const TensorList& expected, const char* what) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const at::Tensor wanted = expected[i].detach().to(at::kDouble);
    const double distance = (found[i].detach().to(at::kDouble) - wanted).norm().item<double>();
    EXPECT_LE(distance, 1e-12 * (1 + wanted.norm().item<double>())) << what << " " << i;
  }
}

/// Loss, gradient, two Hessian products with one graph, and a third derivative, in the parameters
/// and the images; then buffers and the generator's state.
std::vector<TensorList> derivatives(const Network& network) {
  const at::Tensor x = images().requires_grad_();
  torch::manual_seed(5);
  TensorList inputs = network.parameters();
  inputs.push_back(x);
  const at::Tensor loss = network.loss(x);
  std::vector<TensorList> all = {{loss}, network.buffers(), {generator()}};
  const TensorList first = gradients(loss, inputs, true);
  all.push_back(first);
  all.push_back(gradients(along(first, 7), inputs, false));
  const TensorList second = gradients(along(first, 8), inputs, true);
  all.push_back(second);
  all.push_back(gradients(along(second, 9), inputs, false));
  all.push_back(network.buffers());
  all.push_back({generator()});
  return all;
}

TEST(Recomputed, HasTheSameDerivativesAndLeavesNoTrace) {
  const auto found = derivatives(Network(true));
  const auto expected = derivatives(Network(false));
  const std::vector<const char*> names = {"loss",
                                          "buffers after the forward pass",
                                          "generator after the forward pass",
                                          "gradient",
                                          "first product",
                                          "second product",
                                          "third",
                                          "buffers at the end",
                                          "generator at the end"};
  ASSERT_EQ(found.size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    expect_equal(found[i], expected[i], names[i]);
  }
  // Something has moved at all.
  EXPECT_EQ(expected[1][2].item<int64_t>(), 1) << "num_batches_tracked";
  EXPECT_GT(expected[6][0].norm().item<double>(), 1e-6);
}

TEST(Recomputed, KeepsNothingFromInsideABlock) {
  for (const bool again : {false, true}) {
    const Network network(again);
    const at::Tensor loss = network.loss(images());
    EXPECT_EQ(network.kept(), again ? 0 : 3);
    const TensorList first = gradients(loss, network.parameters(), true);
    EXPECT_EQ(network.kept(), again ? 0 : 3) << "in the graph for Hessian products";
    gradients(along(first, 7), network.parameters(), false);
    EXPECT_EQ(network.kept(), again ? 0 : 3);
    // Once forward, once for the gradient, and in the product once for the gradient's derivative
    // and once for what that gives to the block before.
    EXPECT_EQ(network.blocks[0]->calls(), again ? 4 : 1);
  }
}

TEST(Recomputed, RepeatsTheModesOfTheForwardPass) {
  const auto gradient = [](bool again) {
    const Network network(again);
    network.blocks[1]->children()[1]->eval();  // a frozen normalisation
    torch::manual_seed(5);
    const at::Tensor loss = network.loss(images());
    for (const auto& block : network.blocks) {
      block->eval();
    }
    TensorList result = gradients(loss, network.parameters(), false);
    for (const auto& block : network.blocks) {
      for (const auto& module : block->modules()) {
        EXPECT_FALSE(module->is_training());
      }
    }
    return result;
  };
  expect_equal(gradient(true), gradient(false), "gradient");
}

TEST(Recomputed, AddsUpOverTheSamePartsAgain) {
  const auto sum = std::make_shared<const DividedBatch::Sum>([](at::Tensor& x) { x.mul_(3); });
  const auto product = [&](bool again) {
    const Network network(again);
    torch::manual_seed(5);
    at::Tensor loss;
    {
      const DividedBatch scope(sum);
      loss = network.loss(images());
    }
    EXPECT_FALSE(batch_is_divided());
    TensorList result = gradients(along(gradients(loss, network.parameters(), true), 7),
                                  network.parameters(), false);
    EXPECT_FALSE(batch_is_divided());
    return result;
  };
  expect_equal(product(true), product(false), "product");
}

TEST(Recomputed, KeepsTheGraphWhereLayersAreNoted) {
  const Network network(true);
  const LayerRecorder recorder;
  const at::Tensor loss = network.loss(images());
  ASSERT_EQ(recorder.calls().size(), 3);
  for (const LayerCall& call : recorder.calls()) {
    EXPECT_TRUE(gradients(loss, {call.output}, false)[0].defined());
  }
}

TEST(Recomputed, CallsOnceWithoutAGradient) {
  const Network network(true);
  const c10::NoGradGuard no_grad;
  EXPECT_FALSE(network.loss(images()).requires_grad());
  EXPECT_EQ(network.blocks[0]->calls(), 1);
}

TEST(Recomputed, RefusesParametersThatHaveChanged) {
  const Network network(true);
  const at::Tensor loss = network.loss(images());
  {
    const c10::NoGradGuard no_grad;
    network.parameters()[0].mul_(2);
  }
  EXPECT_THROW(gradients(loss, network.parameters(), false), c10::Error);
}

/// A backward pass comes after the scope in which the layer was called.
TEST(Recomputed, ComputesAgainInThePrecisionOfTheFirstCall) {
  torch::manual_seed(6);
  Linear layer(3, 3);
  std::vector<at::ScalarType> types;
  const auto forward = [&](const at::Tensor& in) {
    const at::Tensor out = layer(in);
    types.push_back(out.scalar_type());
    return out;
  };
  const at::Tensor x = at::randn({4, 3});
  at::Tensor result;
  {
    const AutocastScope scope(c10::DeviceType::CPU,
                              {.enabled = true, .type = at::kBFloat16, .cached = false});
    result = recomputed(layer.ptr(), x, forward);
  }
  const TensorList weights = {layer->weight, layer->bias};
  const TensorList first = gradients(result.to(at::kFloat).square().sum(), weights, true);
  const TensorList second = gradients(first[0].square().sum(), weights, false);
  EXPECT_EQ(second[0].scalar_type(), at::kFloat);
  EXPECT_GE(types.size(), 3U) << "once, and again for each derivative";
  for (const at::ScalarType type : types) {
    EXPECT_EQ(type, at::kBFloat16);
  }
  EXPECT_FALSE(autocast_state(c10::DeviceType::CPU).enabled);
}

}  // namespace
}  // namespace bissl
