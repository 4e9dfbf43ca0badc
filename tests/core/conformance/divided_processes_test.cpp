#include "conformance/divided_processes.h"

#include "bissl/error.h"
#include "conformance/checker.h"
#include "models/evaluation_guard.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

using Sum = DividedProcesses::Sum;

TEST(DividedProcesses, AddUpInTurns) {
  std::string order;
  std::vector<double> totals;
  DividedProcesses(3).run([&](int rank, const Sum& sum) {
    for (const double factor : {1.0, 10.0}) {
      order += std::to_string(rank);
      at::Tensor values = torch::full({2}, factor * (rank + 1), torch::kDouble);
      (*sum)(values);
      totals.push_back(values[1].item<double>());
    }
  });
  EXPECT_EQ(order, "012012");
  EXPECT_EQ(totals, (std::vector<double>{6, 6, 6, 60, 60, 60}));
}

TEST(DividedProcesses, DifferentiateASumOverTheParts) {
  std::vector<double> slopes;
  DividedProcesses(2).run([&](int rank, const Sum& sum) {
    const at::Tensor x = torch::full({1}, 1.0 + rank, torch::kDouble).requires_grad_();
    at::Tensor total;
    {
      const DividedBatch scope(sum);
      total = sum_over_parts(x);
    }
    total.square().sum().backward();
    slopes.push_back(x.grad().item<double>());
  });
  EXPECT_EQ(slopes, (std::vector<double>{12, 12})) << "two times 2·(1 + 2)";
}

TEST(DividedProcesses, HaveGeneratorsOfTheirOwn) {
  seed_generator(3);
  const at::Tensor before = generator_state();
  std::vector<double> drawn;
  DividedProcesses(2).run([&](int /*rank*/, const Sum& sum) {
    at::Tensor values = torch::rand({1}, torch::kDouble);
    drawn.push_back(values.item<double>());
    (*sum)(values);
    drawn.push_back(torch::rand({1}, torch::kDouble).item<double>());
  });
  ASSERT_EQ(drawn.size(), 4U);
  EXPECT_EQ(drawn[0], drawn[1]) << "the first number of both";
  EXPECT_EQ(drawn[2], drawn[3]) << "the second one";
  EXPECT_NE(drawn[0], drawn[2]);
  EXPECT_TRUE(generator_state().equal(before));
}

TEST(DividedProcesses, AskForTheSameSums) {
  const auto run = [](int rank, const Sum& sum) {
    at::Tensor values = torch::ones({1 + rank % 2}, torch::kDouble);
    (*sum)(values);
  };
  EXPECT_THROW(DividedProcesses(2).run(run), Violation);
  EXPECT_THROW(DividedProcesses(3).run([](int rank, const Sum& sum) {
    at::Tensor values = torch::ones({1}, torch::kDouble);
    for (int i = 0; i < rank; ++i) {
      (*sum)(values);
    }
  }),
               Violation);
}

TEST(DividedProcesses, EndWithTheFirstException) {
  EXPECT_THROW(DividedProcesses(3).run([](int rank, const Sum& sum) {
    if (rank == 1) {
      fail_input("process 1 has an error");
    }
    at::Tensor values = torch::ones({1}, torch::kDouble);
    (*sum)(values);
  }),
               Error);
}

}  // namespace
}  // namespace bissl::host::test
