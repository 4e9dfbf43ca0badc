// Precision and copies of modules.

#include "models/module_state.h"

#include "bissl/error.h"

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <functional>

namespace bissl::host {
namespace {

class Holder : public torch::nn::Module {
 public:
  Holder() {
    register_parameter("weight", torch::ones({2}));
    register_buffer("average", torch::ones({2}));
    register_buffer("half", torch::ones({2}, torch::kHalf));
    register_buffer("spectrum", torch::ones({2}, torch::kComplexFloat));
    register_buffer("next", torch::full({}, (int64_t{1} << 53) + 1, torch::kLong));
    register_buffer("small", torch::ones({2}, torch::kByte));
    register_buffer("mask", torch::ones({2}, torch::kBool));
  }
};

TEST(ModuleState, DoublePrecisionIsForRealAndComplexNumbersOnly) {
  Holder holder;
  const at::Tensor weight = holder.named_parameters()["weight"];
  convert_to_double(holder);
  EXPECT_EQ(weight.scalar_type(), torch::kDouble) << "the same tensor, that an optimizer holds";
  EXPECT_TRUE(weight.requires_grad());
  const auto buffers = holder.named_buffers();
  EXPECT_EQ(buffers["average"].scalar_type(), torch::kDouble);
  EXPECT_EQ(buffers["half"].scalar_type(), torch::kDouble);
  EXPECT_EQ(buffers["spectrum"].scalar_type(), torch::kComplexDouble);
  EXPECT_EQ(buffers["small"].scalar_type(), torch::kByte);
  EXPECT_EQ(buffers["mask"].scalar_type(), torch::kBool);
  ASSERT_EQ(buffers["next"].scalar_type(), torch::kLong);
  EXPECT_EQ(buffers["next"].item<int64_t>(), (int64_t{1} << 53) + 1) << "no double has this value";
}

TEST(ModuleState, ACopyKeepsTypesAndRefusesWhatDoesNotFit) {
  Holder single;
  Holder precise;
  convert_to_double(precise);
  single.named_buffers()["average"].fill_(3);
  single.named_buffers()["next"].fill_(7);
  copy_state(single, precise);
  EXPECT_EQ(precise.named_buffers()["average"].scalar_type(), torch::kDouble);
  EXPECT_EQ(precise.named_buffers()["average"][0].item<double>(), 3);
  EXPECT_EQ(precise.named_buffers()["next"].item<int64_t>(), 7);

  const auto complaint = [&](const std::function<void(Holder&)>& change) {
    Holder source;
    source.named_buffers()["average"].fill_(9);
    change(source);
    try {
      copy_state(source, precise);
    } catch (const Error& error) {
      EXPECT_EQ(precise.named_buffers()["average"][0].item<double>(), 3) << "half a copy";
      return std::string(error.what());
    }
    return std::string("copied");
  };
  EXPECT_NE(complaint([](Holder& holder) {
              holder.register_buffer("late", torch::ones({1}));
            }).find("\"late\""),
            std::string::npos);
  EXPECT_NE(complaint([](Holder& holder) {
              holder.register_parameter("late", torch::ones({1}));
            }).find("\"late\""),
            std::string::npos);
  EXPECT_NE(complaint([](Holder& holder) {
              holder.named_buffers()["mask"].set_data(torch::ones({1, 2}, torch::kBool));
            }).find("\"mask\" has shape [1, 2]"),
            std::string::npos);
}

}  // namespace
}  // namespace bissl::host
