#include "conformance/module_record.h"

#include "conformance/checker.h"
#include "conformance/module_checks.h"

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <functional>
#include <limits>

namespace bissl::host::test {
namespace {

/// A weight that trains and a buffer.
struct RecordedModule : torch::nn::Module {
  RecordedModule() {
    weight = register_parameter("weight", torch::ones({2, 3}));
    mean = register_buffer("mean", torch::zeros({3}));
  }
  at::Tensor weight;
  at::Tensor mean;
};

/// What the violation says that `compare` throws; empty if it throws none.
std::string violation_of(const std::function<void()>& compare) {
  try {
    compare();
  } catch (const Violation& violation) {
    return violation.what();
  }
  return "";
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(ModuleRecord, FindsNothingWhereNothingChanged) {
  RecordedModule module;
  const ModuleRecord record(module, "the head");
  record.require_same_structure(module, "later");
  record.require_same_structure(RecordedModule(), "in another instance");
  record.require_same_tensors("loss");
  record.require_same_values(ModuleRecord::Part::all, "loss");
  record.require_same_modes("loss");
  record.require_same_gradients("loss");
}

TEST(ModuleRecord, FindsNewAndReshapedTensors) {
  RecordedModule module;
  const ModuleRecord record(module, "the head");
  RecordedModule more;
  more.register_buffer("queue", torch::zeros({1}));
  EXPECT_SAYS(violation_of([&] { record.require_same_structure(more, "later"); }),
              "the head has a new buffer \"queue\" later");
  RecordedModule longer;
  longer.mean.resize_({4});
  EXPECT_SAYS(violation_of([&] { record.require_same_structure(longer, "later"); }),
              "\"mean\" of the head has shape [4] later, and [3]");
  RecordedModule finer;
  finer.mean.set_data(torch::zeros({3}, torch::kDouble));
  EXPECT_SAYS(violation_of([&] { record.require_same_structure(finer, "later"); }),
              "is of type Double");
  EXPECT_SAYS(
      violation_of([&] { record.require_same_structure(torch::nn::Module(), "elsewhere"); }),
      "the head has no parameter \"weight\" elsewhere");
}

TEST(ModuleRecord, TellsWhoseValuesChanged) {
  RecordedModule module;
  const ModuleRecord record(module, "the head");
  module.mean.add_(1);
  record.require_same_values(ModuleRecord::Part::parameters, "loss");
  record.require_same_values(ModuleRecord::Part::trainable, "loss");
  EXPECT_SAYS(violation_of([&] { record.require_same_values(ModuleRecord::Part::all, "loss"); }),
              "loss changes the buffer \"mean\" of the head");
  module.weight.data().mul_(2);
  EXPECT_SAYS(
      violation_of([&] { record.require_same_values(ModuleRecord::Part::trainable, "loss"); }),
      "loss changes the parameter \"weight\"");
}

TEST(ModuleRecord, FindsModesGradientsAndSwitches) {
  RecordedModule module;
  const ModuleRecord record(module, "the head");
  module.eval();
  EXPECT_SAYS(violation_of([&] { record.require_same_modes("loss"); }),
              "loss leaves the head in evaluation mode; it was in training mode");
  module.weight.sum().backward();
  EXPECT_SAYS(violation_of([&] { record.require_same_gradients("loss"); }),
              "adds to the gradient of \"weight\"");
  module.weight.requires_grad_(false);
  EXPECT_SAYS(violation_of([&] { record.require_same_tensors("loss"); }),
              "switches requires_grad of \"weight\" of the head off");
}

TEST(ModuleRecord, RefusesNaNButTakesInfiniteBuffers) {
  RecordedModule module;
  module.mean.fill_(std::numeric_limits<float>::infinity());
  require_no_nan(module, "the head", "after a step");
  module.mean[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_SAYS(violation_of([&] { require_no_nan(module, "the head", "after a step"); }), "mean");
  RecordedModule infinite;
  infinite.weight.data().fill_(std::numeric_limits<float>::infinity());
  EXPECT_SAYS(violation_of([&] { require_no_nan(infinite, "the head", "after a step"); }),
              "weight");
}

TEST(ModuleRecord, ComparesBits) {
  const at::Tensor nan = torch::full({2}, std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(same_bits(nan, nan.clone()));
  EXPECT_FALSE(same_bits(torch::zeros({2}), -torch::zeros({2})));
  EXPECT_FALSE(same_bits(torch::zeros({2}), torch::zeros({1, 2})));
}

TEST(ModuleChecks, FindATensorThatTwoInstancesShare) {
  RecordedModule first;
  RecordedModule second;
  require_alike(first, second);
  second.mean.set_data(first.mean);
  EXPECT_SAYS(violation_of([&] { require_alike(first, second); }), "two instances share \"mean\"");
}

TEST(ModuleChecks, NameTheFirstTensorThatChanged) {
  RecordedModule module;
  const ModuleCopy copy(module);
  EXPECT_EQ(copy.changed(module), "");
  module.mean.add_(1);
  EXPECT_EQ(copy.changed(module), "mean");
}

}  // namespace
}  // namespace bissl::host::test
