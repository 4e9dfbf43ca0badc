// Where the tensors of training steps are, and what the steps wait for, on a device without
// hardware (fake_device.h). What a GPU computes is tests/gpu's concern.

#include "bissl/layers.h"
#include "bissl/optimizer.h"
#include "coloured_images.h"
#include "core/data/fake_data.h"
#include "data/prefetcher.h"
#include "fake_device.h"
#include "models/guarded.h"
#include "models/memory_format.h"
#include "models/module_state.h"
#include "trainings.h"

#include <ATen/Context.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

/// Single precision, and other sums of batch normalisation than on the processor's own way.
constexpr double tolerance = 1e-3;

std::string lines(const std::vector<std::string>& texts) { return fmt::format("{}", texts); }

void expect_near(const Trained& found, const Trained& expected) {
  ASSERT_EQ(found.losses.size(), expected.losses.size());
  for (size_t i = 0; i < found.losses.size(); ++i) {
    EXPECT_NEAR(found.losses[i], expected.losses[i], tolerance * (1 + std::abs(expected.losses[i])))
        << i;
  }
  EXPECT_TRUE(found.weights.allclose(expected.weights, tolerance, tolerance))
      << (found.weights - expected.weights).abs().max().item<double>();
}

void expect_on_device(const Trained& trained, const DeviceUse& use) {
  EXPECT_TRUE(use.mixed.empty()) << lines(use.mixed);
  EXPECT_TRUE(trained.strayed.empty()) << lines(trained.strayed);
  EXPECT_GT(use.operations, 100);
}

TEST(FakeDevice, ComputesOnTensorsOfItsOwn) {
  const at::Tensor numbers = torch::arange(12, torch::kFloat).view({3, 4});
  const at::Tensor there = numbers.to(fake_device);
  EXPECT_EQ(there.device(), fake_device);
  at::Tensor sum = torch::arange(4, there.options()) + there.t().contiguous().select(1, 1);
  sum.mul_(2).narrow(0, 0, 1).fill_(-1);
  EXPECT_EQ(sum.device(), fake_device);
  EXPECT_TRUE(sum.to(torch::kCPU).equal(torch::tensor({-1.0F, 12.0F, 16.0F, 20.0F})));
  EXPECT_TRUE(torch::cat({there, there}).to(torch::kCPU).equal(torch::cat({numbers, numbers})));
  EXPECT_EQ(there.sum().item<double>(), 66.0);
}

TEST(FakeDevice, FindsWhatIsElsewhereAndWhatIsWaitedFor) {
  const at::Tensor here = torch::ones({3});
  const at::Tensor there = here.to(torch::TensorOptions(fake_device), /*non_blocking=*/true);
  take_device_use();
  there.mul(torch::scalar_tensor(2.0));  // a single number may be anywhere
  const DeviceUse good = take_device_use();
  EXPECT_TRUE(good.mixed.empty()) << lines(good.mixed);
  EXPECT_TRUE(good.waits.empty()) << lines(good.waits);
  there.dot(here);
  there.sum().item<double>();
  const DeviceUse bad = take_device_use();
  EXPECT_EQ(bad.mixed, std::vector<std::string>{"aten::dot: [3] on cpu"});
  EXPECT_EQ(bad.waits, std::vector<std::string>{"aten::_local_scalar_dense"});
}

class PretextPlacement : public ::testing::TestWithParam<std::string> {};

TEST_P(PretextPlacement, AllTensorsOfAStepAreOnTheDevice) {
  take_device_use();
  const Trained there = pretrained(GetParam(), "sgd", fake_device, 2);
  expect_on_device(there, take_device_use());
  expect_near(there, pretrained(GetParam(), "sgd", c10::kCPU, 2));
}

INSTANTIATE_TEST_SUITE_P(Tasks, PretextPlacement,
                         ::testing::Values("barlow-twins", "byol", "dino", "jigsaw", "moco",
                                           "rotation", "simclr", "supcon", "swav", "vicreg"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class RoundPlacement : public ::testing::TestWithParam<std::string> {};

TEST_P(RoundPlacement, AllTensorsOfARoundAreOnTheDevice) {
  take_device_use();
  const Trained there = after_rounds(GetParam(), fake_device, 2);
  expect_on_device(there, take_device_use());
  expect_near(there, after_rounds(GetParam(), c10::kCPU, 2));
}

INSTANTIATE_TEST_SUITE_P(Approximators, RoundPlacement,
                         ::testing::Values("cg", "ekfac", "identity"));

TEST(FinetunePlacement, AllTensorsOfAStepAreOnTheDevice) {
  take_device_use();
  const Trained there = finetuned(fake_device, 2);
  expect_on_device(there, take_device_use());
  expect_near(there, finetuned(c10::kCPU, 2));
}

/// Passes get images with channels last. The made-up device has the processor compute, and there
/// oneDNN's convolutions of such images write beyond their memory in Debian's LibTorch 1.13.1.
class ChannelsLastPlacement : public ::testing::Test {
 protected:
  ChannelsLastPlacement() {
    set_channels_last(true);
    at::globalContext().setUserEnabledMkldnn(false);
  }
  ~ChannelsLastPlacement() override {
    at::globalContext().setUserEnabledMkldnn(true);
    set_channels_last(false);
  }

  /// What `training` ends with where images lie as they are made.
  template <class Training>
  static Trained as_made(const Training& training) {
    set_channels_last(false);
    Trained trained = training();
    set_channels_last(true);
    return trained;
  }
};

TEST_F(ChannelsLastPlacement, ConvolutionsGetTheirImagesSo) {
  const auto backbone =
      create_guarded(choose(ComponentKind::backbone, "resnet", "resnet18",
                            {{"stem", std::string("small")}, {"width", int64_t{4}}}),
                     BackboneContext{ImageShape{3, 16, 16}});
  move_to(backbone->module(), fake_device);
  const LayerRecorder recorder;
  backbone->forward(batch_on(fake_device, 0).views[0]);
  ASSERT_FALSE(recorder.calls().empty());
  EXPECT_EQ(recorder.calls().front().input.suggest_memory_format(), at::MemoryFormat::ChannelsLast);
}

TEST_F(ChannelsLastPlacement, TrainingsEndWithTheSameWeights) {
  take_device_use();
  const Trained steps = pretrained("simclr", "sgd", fake_device, 2);
  const Trained rounds = after_rounds("ekfac", fake_device, 2);
  const Trained tuned = finetuned(fake_device, 2);
  expect_on_device(steps, take_device_use());
  expect_near(steps, as_made([] { return pretrained("simclr", "sgd", c10::kCPU, 2); }));
  expect_near(rounds, as_made([] { return after_rounds("ekfac", c10::kCPU, 2); }));
  expect_near(tuned, as_made([] { return finetuned(c10::kCPU, 2); }));
}

class OptimizerPlacement : public ::testing::TestWithParam<std::string> {};

/// A matrix and a vector after three steps with gradients that are given.
TensorList moved(const std::string& name, c10::Device device) {
  const at::Tensor start = torch::sin(torch::arange(12, torch::kFloat)).view({3, 4});
  const NamedTensors parameters{{"matrix", start.to(device).clone().requires_grad_()},
                                {"vector", start.select(0, 1).to(device).clone().requires_grad_()}};
  const auto optimizer =
      create_guarded(choose(ComponentKind::optimizer, "optimizers", name, {{"lr", 0.1}}),
                     OptimizerContext{parameters});
  for (int64_t step = 1; step <= 3; ++step) {
    for (const auto& [key, tensor] : parameters) {
      const at::Tensor places = torch::arange(tensor.numel(), torch::kFloat) * step;
      tensor.mutable_grad() = torch::cos(places).view(tensor.sizes()).to(device);
    }
    optimizer->step(1.0);
  }
  TensorList result;
  for (const at::Tensor& tensor : tensors_of(parameters)) {
    result.push_back(tensor.detach().to(torch::kCPU));
  }
  return result;
}

TEST_P(OptimizerPlacement, StepsOnTheDeviceAreThoseOnTheProcessor) {
  const TensorList expected = moved(GetParam(), c10::kCPU);
  take_device_use();
  const TensorList found = moved(GetParam(), fake_device);
  const DeviceUse use = take_device_use();
  EXPECT_TRUE(use.mixed.empty()) << lines(use.mixed);
  EXPECT_EQ(std::count(use.waits.begin(), use.waits.end(), "aten::_local_scalar_dense"), 0)
      << lines(use.waits);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(found[i].allclose(expected[i], 1e-5, 1e-6)) << i << '\n' << found[i] << expected[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Optimizers, OptimizerPlacement,
                         ::testing::Values("adam", "adamw", "adan", "lamb", "lars", "lion", "muon",
                                           "sgd"));

/// How often a step is waited for: what three steps add to one.
template <class Training>
int64_t waits_of_a_step(const Training& training) {
  take_device_use();
  training(1);
  const size_t one = take_device_use().waits.size();
  training(3);
  const std::vector<std::string> three = take_device_use().waits;
  EXPECT_EQ((three.size() - one) % 2, 0U) << lines(three);
  return static_cast<int64_t>(three.size() - one) / 2;
}

/// The loss and two norms of gradients, however many tensors there are: what is logged, and what
/// clipping and the end of a diverged training depend on.
TEST(Waits, OfAStepDoNotDependOnTheNumberOfTensors) {
  for (const char* optimizer : {"sgd", "lars", "lamb"}) {
    EXPECT_LE(waits_of_a_step(
                  [&](int64_t steps) { pretrained("simclr", optimizer, fake_device, steps); }),
              3)
        << optimizer;
  }
  EXPECT_LE(waits_of_a_step([](int64_t steps) { finetuned(fake_device, steps); }), 2);
  EXPECT_LE(waits_of_a_step([](int64_t rounds) { after_rounds("identity", fake_device, rounds); }),
            12);
}

class LoaderPlacement : public ::testing::TestWithParam<int> {};

TEST_P(LoaderPlacement, BatchesAreSentBesideWhatTheDeviceDoes) {
  constexpr int64_t batches = 5;
  const auto source = [](c10::Device device) {
    return source_of(
        unlabelled(10),
        {.batch = 3, .views = 2, .seed = 5, .purpose = "test", .geometry = true, .device = device});
  };
  const auto expected = source(c10::kCPU);
  take_device_use();
  {
    Prefetcher prefetcher(source(fake_device), 0, batches, GetParam());
    for (int64_t number = 0; number < batches; ++number) {
      const Batch batch = prefetcher.next();
      const Batch here = expected->make(number);
      for (size_t view = 0; view < batch.views.size(); ++view) {
        EXPECT_EQ(batch.views[view].device(), fake_device);
        EXPECT_EQ(batch.geometry[view].device(), fake_device);
        EXPECT_TRUE(batch.views[view].to(torch::kCPU).equal(here.views[view]));
        EXPECT_TRUE(batch.geometry[view].to(torch::kCPU).equal(here.geometry[view]));
      }
      EXPECT_TRUE(batch.indices.to(torch::kCPU).equal(here.indices));
    }
  }
  const DeviceUse use = take_device_use();
  EXPECT_EQ(std::count(use.waits.begin(), use.waits.end(), "a copy to the device"), 0);
  // With threads: each batch has a mark in a stream of its thread, which the trainer's waits for.
  const int64_t marks = GetParam() > 0 ? batches : 0;
  EXPECT_EQ(std::count(use.streams.begin(), use.streams.end(), "block 0"), marks)
      << lines(use.streams);
  EXPECT_EQ(std::count(use.streams.begin(), use.streams.end(), "record 0"), 0);
  EXPECT_EQ(static_cast<int64_t>(use.streams.size()), 2 * marks) << lines(use.streams);
  EXPECT_EQ(use.recorded, marks * 5) << "two views, two geometries and the numbers of a batch";
}

TEST_P(LoaderPlacement, ViewsOfSimclrAreMadeOnTheDevice) {
  constexpr int64_t batches = 4;
  const auto expected = simclr_batches(c10::kCPU);
  take_device_use();
  double largest = 0;
  {
    Prefetcher prefetcher(simclr_batches(fake_device), 0, batches, GetParam());
    for (int64_t number = 0; number < batches; ++number) {
      const Batch batch = prefetcher.next();
      const Batch here = expected->make(number);
      ASSERT_EQ(batch.views.size(), here.views.size());
      EXPECT_EQ(joined(batch.views).data_ptr(), batch.views[0].data_ptr())
          << "views of one shape lie in one buffer";
      for (size_t view = 0; view < here.views.size(); ++view) {
        EXPECT_EQ(batch.views[view].device(), fake_device);
        const at::Tensor away = batch.views[view].to(torch::kCPU).sub(here.views[view]);
        largest = std::max(largest, away.abs().max().item<double>());
        EXPECT_TRUE(batch.geometry[view].to(torch::kCPU).equal(here.geometry[view]));
      }
      EXPECT_TRUE(batch.indices.to(torch::kCPU).equal(here.indices));
    }
  }
  EXPECT_LE(largest, tolerance);
  const DeviceUse use = take_device_use();
  EXPECT_TRUE(use.mixed.empty()) << lines(use.mixed);
  EXPECT_EQ(std::count(use.waits.begin(), use.waits.end(), "a copy to the device"), 0);
  EXPECT_EQ(std::count(use.waits.begin(), use.waits.end(), "aten::_local_scalar_dense"), 0);
  EXPECT_GT(use.operations, 100 * batches) << "the device has made them";
}

INSTANTIATE_TEST_SUITE_P(Threads, LoaderPlacement, ::testing::Values(0, 1, 3));

}  // namespace
}  // namespace bissl::host::test
