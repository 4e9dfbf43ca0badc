// Training steps that are recorded, and the reverse pass through them, on a small model in double
// precision.

#include "bilevel/lower_level.h"
#include "bilevel/lower_trajectory.h"
#include "bilevel/pretext_problem.h"
#include "bissl/error.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "plugins/registry.h"
#include "small_models.h"
#include "support/paths.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

constexpr double lambda = 0.7;
constexpr double lr = 0.3;
constexpr int64_t steps = 4;

/// Descent with momentum, and with factors for each parameter (no derivative of the gradient).
class ScaledDescent : public test::PlainDescent,
                      public OptimizerMomentum,
                      public OptimizerPreconditioner {
 public:
  ScaledDescent(const NamedTensors& parameters, double factor)
      : PlainDescent(parameters, lr), parameters_(parameters), factor_(factor) {
    for (const auto& entry : parameters) {
      velocity_.push_back(torch::zeros_like(entry.tensor));
    }
  }
  void* capability(std::string_view id) override {
    return provide<OptimizerMomentum, OptimizerPreconditioner>(*this, id);
  }
  double momentum() const override { return 0.6; }
  TensorList preconditioner(const TensorList& gradients) const override {
    TensorList factors;
    for (const at::Tensor& gradient : gradients) {
      factors.push_back(torch::full_like(gradient, factor_));
    }
    return factors;
  }
  void step(double lr_scale) override {
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < velocity_.size(); ++i) {
      at::Tensor parameter = parameters_[i].tensor;
      velocity_[i].mul_(momentum()).add_(parameter.grad(), factor_);
      parameter.add_(velocity_[i], -lr * lr_scale);
    }
  }

 private:
  NamedTensors parameters_;
  double factor_;
  TensorList velocity_;
};

/// A lower level that is trained from the same start as often as one asks.
class TrajectoryTest : public ::testing::Test {
 protected:
  TrajectoryTest() : pretext_(/*noise=*/0.4) {
    torch::manual_seed(4);
    start_ = copy(tensors_of(module_state(backbone_.module())));
    head_ = copy(tensors_of(module_state(pretext_.module())));
    for (const at::Tensor& parameter : tensors_of(trainable_parameters(anchor_.module()))) {
      u_.push_back(torch::randn_like(parameter));
    }
  }

  static Views views(int64_t batch) { return test::small_views(2, 6 + batch); }

  /// θ_K after training tied to the anchor. Records the steps if asked to, and before step
  /// `left_out` one that moves nothing.
  TensorList train(LowerTrajectory* trajectory = nullptr, double factor = 1.0,
                   int64_t left_out = -1) {
    restore(backbone_.module(), start_);
    restore(pretext_.module(), head_);
    seed_generator(8);
    ScaledDescent optimizer(lower_parameters(backbone_, pretext_), factor);
    LowerLevel level(backbone_, pretext_, optimizer, /*max_grad_norm=*/0);
    level.tie_to(anchor_, lambda);
    for (int64_t t = 0; t < steps; ++t) {
      const double rate = 1.0 - 0.1 * double(t);
      LowerLevel::Observer record;
      if (trajectory != nullptr) {
        if (t == left_out) {
          trajectory->before_step(views(t + steps), t + steps);
        }
        trajectory->before_step(views(t), t);
        record.before_update = [&](const TensorList& gradients, double clip) {
          trajectory->with_gradients(optimizer, gradients, rate, clip);
        };
      }
      level.step(views(t), rate, {}, record);
    }
    return tensors_of(trainable_parameters(backbone_.module()));
  }

  HypergradientSolution solve(const LowerTrajectory& trajectory, int64_t last = steps) {
    static Registry* registry = [] {
      auto* made = new Registry;
      made->load_library(std::string(test::plugin_folder) + "/unrolled.so", true);
      return made;
    }();
    const auto component = registry->find(ComponentKind::hypergradient, "unrolled");
    ComponentChoice choice{component, defaults(component->info.parameters), "test"};
    choice.values["steps"] = last;
    choice.values["keep_norm"] = false;
    PretextProblem problem(backbone_, pretext_, {views(9)}, {.lambda = lambda},
                           {.trajectory = &trajectory});
    return choice.create<Hypergradient>({})->solve(u_, problem);
  }

  /// d(u·θ_K)/dθ_D by differences of whole trainings. φ_P trains along, but the approximator takes
  /// its path as given; so must this.
  static void restore(torch::nn::Module& module, const TensorList& values) {
    const torch::NoGradGuard no_grad;
    const TensorList now = tensors_of(module_state(module));
    for (size_t i = 0; i < now.size(); ++i) {
      now[i].variable_data().copy_(values[i]);
    }
  }

  test::SmallBackbone backbone_;
  test::SmallBackbone anchor_;
  test::SmallPretext pretext_;
  TensorList start_;
  TensorList head_;
  TensorList u_;
};

/// The same model with a head that does not train: then θ_K is a function of θ_D alone, and the
/// reverse pass must give its whole derivative.
class FixedHeadTest : public TrajectoryTest {
 protected:
  FixedHeadTest() {
    for (const at::Tensor& parameter : pretext_.module().parameters()) {
      parameter.requires_grad_(false);
    }
  }
};

TEST_F(FixedHeadTest, ReverseModeIsTheDerivativeOfTraining) {
  LowerTrajectory trajectory(backbone_, pretext_, steps, lambda);
  constexpr double factor = 0.8;
  train(&trajectory, factor);
  const at::Tensor v = flatten(solve(trajectory).v);

  const TensorList anchor = tensors_of(trainable_parameters(anchor_.module()));
  constexpr double h = 1e-5;
  std::vector<double> expected;
  for (int64_t i = 0; i < count(anchor); ++i) {
    const TensorList unit = unit_vector(i, anchor);
    TensorList moved = anchor;
    const auto at_shift = [&](double shift) {
      const torch::NoGradGuard no_grad;
      add_scaled(moved, shift, unit);
      const double value = dot(u_, train(nullptr, factor));
      add_scaled(moved, -shift, unit);
      return value;
    };
    expected.push_back((at_shift(h) - at_shift(-h)) / (2 * h));
  }
  const at::Tensor difference = torch::tensor(expected, torch::kDouble);
  EXPECT_GT(difference.norm().item<double>(), 0.1);
  EXPECT_LT((v - difference).norm().item<double>(), 1e-7 * difference.norm().item<double>());
}

TEST_F(TrajectoryTest, EvaluatingAStepLeavesNoTrace) {
  LowerTrajectory trajectory(backbone_, pretext_, steps, lambda);
  train(&trajectory);
  const TensorList backbone = copy(tensors_of(module_state(backbone_.module())));
  const TensorList pretext = copy(tensors_of(module_state(pretext_.module())));
  const at::Tensor generator = generator_state();
  // A graph that was built before must still be usable, and give the same bits.
  PretextProblem problem(backbone_, pretext_, {views(9)}, {.lambda = lambda});
  const at::Tensor before = flatten(problem.hessian_product(u_));
  solve(trajectory);
  EXPECT_TRUE(flatten(problem.hessian_product(u_)).equal(before));
  EXPECT_TRUE(flatten(tensors_of(module_state(backbone_.module()))).equal(flatten(backbone)));
  EXPECT_TRUE(flatten(tensors_of(module_state(pretext_.module()))).equal(flatten(pretext)));
  EXPECT_TRUE(generator_state().equal(generator));
}

TEST_F(TrajectoryTest, AStepHasTheGradientThatTrainingSaw) {
  LowerTrajectory trajectory(backbone_, pretext_, steps, 0);
  restore(backbone_.module(), start_);
  ScaledDescent optimizer(lower_parameters(backbone_, pretext_), 1.0);
  LowerLevel level(backbone_, pretext_, optimizer, /*max_grad_norm=*/0.05);
  std::vector<at::Tensor> seen;
  std::vector<double> clips;
  for (int64_t t = 0; t < 2; ++t) {
    trajectory.before_step(views(t), t);
    const auto record = [&](const TensorList& gradients, double clip) {
      trajectory.with_gradients(optimizer, gradients, 1.0, clip);
      const auto end = gradients.begin() + static_cast<int64_t>(u_.size());
      seen.push_back(flatten(TensorList(gradients.begin(), end)));
      clips.push_back(clip);
    };
    level.step(views(t), 1.0, {}, {.before_update = record});
  }
  const std::vector<LowerStep> recorded = trajectory.steps();
  ASSERT_EQ(recorded.size(), 2U);
  for (size_t t = 0; t < 2; ++t) {
    ASSERT_LT(clips[t], 1.0) << "the example must clip";
    const at::Tensor gradient = flatten(recorded[t].system->gradient({}));
    EXPECT_LT((gradient * clips[t] - seen[t]).abs().max().item<double>(), 1e-15);
    EXPECT_NEAR(recorded[t].preconditioner[0].flatten()[0].item<double>(), clips[t], 1e-15);
    const at::Tensor shifted =
        flatten(recorded[t].system->gradient(zeros_like(recorded[t].system->parameters())));
    EXPECT_TRUE(shifted.equal(gradient));
  }
}

TEST_F(TrajectoryTest, AStepOnSeveralBatchesHasTheirMeanGradient) {
  LowerTrajectory trajectory(backbone_, pretext_, steps, 0);
  restore(backbone_.module(), start_);
  seed_generator(8);
  ScaledDescent optimizer(lower_parameters(backbone_, pretext_), 1.0);
  LowerLevel level(backbone_, pretext_, optimizer, /*max_grad_norm=*/0);
  const std::vector<Batch> parts = {views(0), views(1), views(2)};
  size_t next = 0;
  at::Tensor seen;
  level.step(3, [&] { return parts[next++]; }, 1.0, {},
             {.before_loss = [&] { trajectory.before_step(parts, 6); },
              .before_update =
                  [&](const TensorList& gradients, double clip) {
                    trajectory.with_gradients(optimizer, gradients, 1.0, clip);
                    const auto end = gradients.begin() + static_cast<int64_t>(u_.size());
                    seen = flatten(TensorList(gradients.begin(), end));
                  }});
  const at::Tensor recorded = flatten(trajectory.steps().at(0).system->gradient({}));
  EXPECT_LT((recorded - seen).abs().max().item<double>(), 1e-14);

  NamedTensors saved;
  for (const auto& [name, tensor] : trajectory.state()) {
    saved.emplace_back(name, tensor.clone());
  }
  LowerTrajectory restored(backbone_, pretext_, steps, 0);
  std::vector<int64_t> numbers;
  restored.load_state(saved, [&](int64_t number) {
    numbers.push_back(number);
    return parts[static_cast<size_t>(number - 6)];
  });
  EXPECT_EQ(numbers, (std::vector<int64_t>{6, 7, 8}));
  EXPECT_TRUE(flatten(restored.steps().at(0).system->gradient({})).equal(recorded));
}

TEST_F(TrajectoryTest, KeepsTheLastSteps) {
  LowerTrajectory trajectory(backbone_, pretext_, 2, lambda);
  train(&trajectory);
  const std::vector<LowerStep> recorded = trajectory.steps();
  ASSERT_EQ(recorded.size(), 2U);
  EXPECT_DOUBLE_EQ(recorded[0].learning_rate, 0.8 * lr);
  EXPECT_DOUBLE_EQ(recorded[1].learning_rate, 0.7 * lr);
  EXPECT_DOUBLE_EQ(recorded[1].momentum, 0.6);
  trajectory.clear();
  EXPECT_TRUE(trajectory.steps().empty());
}

TEST_F(TrajectoryTest, AStepThatWasLeftOutHasNoDerivative) {
  LowerTrajectory plain(backbone_, pretext_, steps, lambda);
  train(&plain);
  const at::Tensor expected = flatten(solve(plain).v);
  LowerTrajectory trajectory(backbone_, pretext_, steps + 1, lambda);
  constexpr int64_t left_out = 2;
  train(&trajectory, 1.0, left_out);
  const LowerStep nothing = trajectory.steps().at(static_cast<size_t>(left_out));
  EXPECT_EQ(nothing.learning_rate, 0);
  EXPECT_EQ(nothing.momentum, 1) << "what later steps keep of it is what it found";
  EXPECT_EQ(norm(nothing.preconditioner), 0);
  const at::Tensor found = flatten(solve(trajectory, steps + 1).v);
  EXPECT_LT((found - expected).norm().item<double>(), 1e-14 * expected.norm().item<double>());
}

TEST_F(TrajectoryTest, ACheckpointGivesTheSameBits) {
  LowerTrajectory trajectory(backbone_, pretext_, steps, lambda);
  train(&trajectory);
  NamedTensors saved;
  for (const auto& [name, tensor] : trajectory.state()) {
    saved.emplace_back(name, tensor.clone());
  }
  LowerTrajectory restored(backbone_, pretext_, steps, lambda);
  restored.load_state(saved, views);
  EXPECT_TRUE(flatten(solve(restored).v).equal(flatten(solve(trajectory).v)));

  saved.pop_back();
  EXPECT_THROW(restored.load_state(saved, views), Error);
}

}  // namespace
}  // namespace bissl::host
