// The audit on a small model in double precision, compared with dense algebra.

#include "bilevel/audit.h"
#include "bilevel/pretext_problem.h"
#include "models/module_state.h"
#include "small_models.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <set>

namespace bissl::host {
namespace {

class AuditTest : public ::testing::Test {
 protected:
  AuditTest() : backbone_(seeded()), problem_(backbone_, pretext_, {views()}, {.lambda = 0.2}) {
    const int64_t size = flatten(problem_.parameters()).numel();
    TensorList columns;
    for (int64_t i = 0; i < size; ++i) {
      at::Tensor unit = torch::zeros({size}, torch::kDouble);
      unit[i] = 1.0;
      columns.push_back(flatten(problem_.hessian_product(unflatten(unit, problem_.parameters()))));
    }
    hessian_ = torch::stack(columns, 1);
    torch::manual_seed(2);
    u_ = unflatten(torch::randn({size}, torch::kDouble), problem_.parameters());
    const at::Tensor system =
        torch::eye(size, torch::kDouble) + hessian_ / (0.2 + setting_.damping);
    solution_ = torch::linalg_solve(system, flatten(u_));
    system_ = system;
  }

  static test::SmallBackbone seeded() {
    torch::manual_seed(1);
    return {};
  }
  static Views views() { return test::small_views(2, 8); }

  AuditSetting setting_{.damping = 0.3, .dense_below = 1000, .iterations = 200, .tolerance = 1e-12};
  test::SmallBackbone backbone_;
  test::SmallPretext pretext_;
  PretextProblem problem_;
  at::Tensor hessian_;
  at::Tensor system_;
  at::Tensor solution_;
  TensorList u_;
};

TEST_F(AuditTest, FindsNothingWrongWithTheSolution) {
  const TensorList v = unflatten(solution_, u_);
  for (const int64_t dense_below : {1000, 0}) {
    setting_.dense_below = dense_below;
    const AuditReport report = audit(u_, v, problem_, setting_);
    EXPECT_EQ(report.reference, dense_below > 0 ? "dense" : "minres");
    EXPECT_NEAR(report.approximation.cosine, 1.0, 1e-10);
    EXPECT_NEAR(report.approximation.norm_ratio, 1.0, 1e-8);
    EXPECT_LT(report.approximation.residual, 1e-10);
    EXPECT_LT(report.reference_residual, 1e-8);
  }
}

TEST_F(AuditTest, MeasuresHowFarAnApproximationIsOff) {
  const at::Tensor right = flatten(u_);
  const at::Tensor rough = right * 0.5 + solution_ * 0.1;
  const AuditReport report = audit(u_, unflatten(rough, u_), problem_, setting_);
  const double cosine = (rough.dot(solution_) / (rough.norm() * solution_.norm())).item<double>();
  EXPECT_NEAR(report.approximation.cosine, cosine, 1e-10);
  EXPECT_NEAR(report.approximation.norm_ratio, (rough.norm() / solution_.norm()).item<double>(),
              1e-10);
  EXPECT_NEAR(report.approximation.residual,
              ((right - system_.matmul(rough)).norm() / right.norm()).item<double>(), 1e-10);
  // For v := u the residual is the operator's distance from the identity.
  EXPECT_NEAR(report.identity.residual,
              (hessian_.matmul(right).norm() / (0.5 * right.norm())).item<double>(), 1e-10);
}

TEST_F(AuditTest, ShowsAnOperatorThatIsNearlyTheIdentity) {
  setting_.damping = 1e6;
  const AuditReport report = audit(u_, u_, problem_, setting_);
  EXPECT_GT(report.identity.cosine, 1 - 1e-9);
  EXPECT_LT(report.identity.residual, 1e-4);
}

TEST_F(AuditTest, SplitsByGroupsAndAcceptsSinglePrecision) {
  TensorList u;
  for (const at::Tensor& tensor : u_) {
    u.push_back(tensor.to(torch::kFloat));
  }
  const AuditReport report = audit(u, u, problem_, setting_);
  std::set<std::string> expected;
  for (const std::string& name : problem_.parameter_names()) {
    expected.insert(audit_group(name));
  }
  std::set<std::string> found;
  double squared = 0;
  double total = 0;
  for (const auto& [name, score] : report.groups) {
    found.insert(name);
    double group = 0;
    for (size_t i = 0; i < u_.size(); ++i) {
      if (audit_group(problem_.parameter_names()[i]) == name) {
        group += u_[i].square().sum().item<double>();
      }
    }
    squared += score.residual * score.residual * group;
    total += group;
  }
  EXPECT_EQ(found, expected);
  EXPECT_NEAR(std::sqrt(squared / total), report.identity.residual, 1e-6) << "the parts of a whole";
}

TEST(AuditGroup, IsTheModuleUpToTwoNamesDeep) {
  EXPECT_EQ(audit_group("conv1.weight"), "conv1");
  EXPECT_EQ(audit_group("layer1.0.bn2.bias"), "layer1.0");
  EXPECT_EQ(audit_group("layer2.1.downsample.0.weight"), "layer2.1");
  EXPECT_EQ(audit_group("scale"), "scale");
}

}  // namespace
}  // namespace bissl::host
