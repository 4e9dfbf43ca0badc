#include "conformance/replay.h"

#include "conformance/checker.h"

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <string>

namespace bissl::host::test {
namespace {

/// Moves one weight towards a target that each step moves on.
class Chase : public Learner {
 public:
  /// `hidden`: the target is no buffer, so a checkpoint does not have it.
  Chase(uint64_t seed, bool hidden) {
    weight_ =
        module_.register_parameter("weight", torch::full({2}, static_cast<double>(seed) * 0.5));
    target_ = torch::zeros({2});
    if (!hidden) {
      target_ = module_.register_buffer("target", target_);
    }
  }
  std::vector<std::pair<std::string, torch::nn::Module*>> modules() override {
    return {{"the chase", &module_}};
  }
  at::Tensor loss(int64_t step) override {
    return (weight_ - target_).pow(2).sum() + 0.01 * static_cast<double>(step) * weight_.sum();
  }
  void after_step(int64_t /*step*/) override { target_.add_(0.25); }

 private:
  torch::nn::Module module_;
  at::Tensor weight_;
  at::Tensor target_;
};

TEST(Replay, PassesWhatContinuesFromItsState) {
  EXPECT_NO_THROW(
      require_resumable([](uint64_t seed) { return std::make_unique<Chase>(seed, false); }));
}

TEST(Replay, FindsStateThatIsNoBuffer) {
  try {
    require_resumable([](uint64_t seed) { return std::make_unique<Chase>(seed, true); });
    FAIL() << "nothing was found";
  } catch (const Violation& violation) {
    EXPECT_NE(std::string(violation.what()).find("in the same process"), std::string::npos)
        << violation.what();
  }
}

TEST(Replay, StepsGoDownhill) {
  Chase chase(4, false);
  const double first = train(chase, 0);
  EXPECT_LT(train(chase, 0), first);
}

}  // namespace
}  // namespace bissl::host::test
