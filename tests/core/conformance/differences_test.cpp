#include "conformance/differences.h"

#include "conformance/checker.h"
#include "conformance/samples.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <functional>

namespace bissl::host::test {
namespace {

/// x³ as an operation of one's own, each of whose derivatives is multiplied by a factor.
struct Faults {
  double first = 1;
  double second = 1;
  bool symmetric = true;  ///< otherwise places influence each other in one direction only
};
Faults faults;

class CubeDerivative : public torch::autograd::Function<CubeDerivative> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& gradient) {
    context->save_for_backward({x, gradient});
    return 3 * faults.first * x * x * gradient;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list given) {
    const auto saved = context->get_saved_variables();
    at::Tensor slope = 6 * faults.second * saved[0] * saved[1] * given[0];
    if (!faults.symmetric) {
      slope = slope + slope.roll(1, 0);
    }
    return {slope, 3 * saved[0] * saved[0] * given[0]};
  }
};

class Cube : public torch::autograd::Function<Cube> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
    context->save_for_backward({x});
    return x * x * x;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list given) {
    return {CubeDerivative::apply(context->get_saved_variables()[0], given[0])};
  }
};

/// Σx³ of five numbers, with these faults.
class Differences : public testing::Test {
 protected:
  ~Differences() override { faults = {}; }
  void compare(void (*check)(const LossFunction&, const TensorList&)) const {
    check([this] { return Cube::apply(x_).sum(); }, {x_});
    EXPECT_TRUE(torch::equal(x_.detach(), before_)) << "parameters come back to the bit";
  }

 private:
  at::Tensor before_ = normal_numbers({5}, 4);
  at::Tensor x_ = before_.clone().requires_grad_();
};

TEST_F(Differences, PassRightDerivatives) {
  compare(require_gradient);
  compare(require_symmetric_hessian);
  compare(require_second_derivative);
}

TEST_F(Differences, FindAWrongGradient) {
  faults.first = 1.01;
  EXPECT_THROW(compare(require_gradient), Violation);
}

TEST_F(Differences, FindAWrongSecondDerivative) {
  faults.second = 1.05;
  compare(require_gradient);
  compare(require_symmetric_hessian);
  EXPECT_THROW(compare(require_second_derivative), Violation);
}

TEST_F(Differences, FindAHessianThatIsNotSymmetric) {
  faults.symmetric = false;
  EXPECT_THROW(compare(require_symmetric_hessian), Violation);
}

TEST(DifferencesOfLosses, PutParametersBackWhereTheLossThrows) {
  const at::Tensor x = torch::ones({2}, torch::kDouble).requires_grad_();
  int calls = 0;
  const LossFunction loss = [&] {
    if (++calls > 1) {
      throw std::runtime_error("no more");
    }
    return x.pow(2).sum();
  };
  EXPECT_THROW(require_gradient(loss, {x}), std::runtime_error);
  EXPECT_TRUE(torch::equal(x.detach(), torch::ones({2}, torch::kDouble)));
}

TEST(SampleModels, AreTheSameInEachInstance) {
  const auto first = sample_backbone();
  const auto second = sample_backbone();
  const at::Tensor images =
      normal_numbers({3, sample_input.channels, sample_input.height, sample_input.width}, 5);
  const at::Tensor features = first->forward(images);
  EXPECT_EQ(features.sizes(), (at::IntArrayRef{3, sample_features}));
  EXPECT_TRUE(torch::equal(features, second->forward(images)));
}

}  // namespace
}  // namespace bissl::host::test
