#include "analysis/neighbours.h"
#include "reference/golden.h"
#include "stages/knn/classifier.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

namespace bissl::host::test {
namespace {

at::Tensor integers(const nlohmann::json& numbers) {
  return at::tensor(numbers.get<std::vector<int64_t>>(), at::kLong);
}

TEST(Knn, VotesAndRanksAreThoseOfBruteForce) {
  const nlohmann::json expected = golden("knn.json");
  const at::Tensor bank =
      pattern(1, expected.at("bank").get<std::vector<int64_t>>()).to(at::kFloat);
  const at::Tensor queries =
      pattern(2, expected.at("queries").get<std::vector<int64_t>>()).to(at::kFloat);
  for (const nlohmann::json& one : expected.at("cases")) {
    const KnnClassifier classifier(bank.clone(), integers(expected.at("labels")),
                                   expected.at("classes"), {one.at("k"), one.at("temperature")});
    const at::Tensor votes = classifier.votes(queries);
    EXPECT_TRUE(close(votes, one.at("votes"), 1e-5)) << one.at("k") << " " << one.at("temperature");
    EXPECT_TRUE(close(ranks_of(votes, integers(expected.at("targets"))), one.at("ranks"), 0))
        << one.at("k") << " " << one.at("temperature");
  }
}

/// A bank of several blocks gives what one product with all of it gives.
TEST(Knn, BlocksDoNotShow) {
  constexpr int64_t images = 2 * bank_rows + 777;
  // No two of them are equal, so no neighbours are equally near.
  const auto distinct = [](double offset, int64_t rows) {
    const at::Tensor i = at::arange(rows * 6, at::kDouble).add(offset);
    return i.mul(0.37).sin().mul(43758.5453).frac().view({rows, 6}).to(at::kFloat);
  };
  const at::Tensor bank = distinct(0, images);
  const at::Tensor labels = at::arange(images, at::kLong).remainder(11);
  const at::Tensor queries = distinct(1e6, 9);
  const at::Tensor votes = KnnClassifier(bank.clone(), labels, 11, {40, 0.1}).votes(queries);
  const auto unit = [](const at::Tensor& x) { return x.div(x.norm(2, {1}, true)); };
  const auto [similarity, place] = at::matmul(unit(queries), unit(bank).t()).topk(40, 1);
  const at::Tensor weights =
      similarity.sub(similarity.narrow(1, 0, 1)).to(at::kDouble).div(0.1).exp();
  const at::Tensor expected =
      at::zeros({9, 11}, at::kDouble)
          .scatter_add(1, labels.index_select(0, place.flatten()).view({9, 40}), weights);
  EXPECT_TRUE(votes.allclose(expected, 1e-4, 1e-6)) << votes << expected;
}

TEST(Knn, EqualSimilaritiesGoToTheFirstOfTheBank) {
  const at::Tensor bank = at::ones({4, 3});
  const at::Tensor votes =
      KnnClassifier(bank, integers({2, 0, 0, 0}), 3, {1, 0.07}).votes(at::ones({1, 3}));
  EXPECT_TRUE(close(votes, {0.0, 0.0, 1.0}, 0));
}

/// Features without a direction are equally far from all; one image is everybody's neighbour.
TEST(Knn, DegenerateFeaturesHaveADefinedAnswer) {
  const at::Tensor zero = at::zeros({3, 4});
  EXPECT_TRUE(close(KnnClassifier(zero.clone(), integers({2, 0, 1}), 3, {2, 0.07}).votes(zero),
                    {1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0}, 0));
  EXPECT_TRUE(close(KnnClassifier(at::ones({1, 4}), integers({1}), 3, {1, 0.07}).votes(zero),
                    {0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0}, 0));
}

TEST(Knn, AClassWithoutAVoteIsNeverRight) {
  const at::Tensor votes = at::tensor({0.0, 1.0, 0.0, 0.5, 0.5, 0.5}, at::kDouble).view({2, 3});
  EXPECT_TRUE(close(ranks_of(votes, integers({0, 1})), {2.0, 1.0}, 0));
  EXPECT_TRUE(close(ranks_of(votes, integers({1, 0})), {0.0, 0.0}, 0));
}

}  // namespace
}  // namespace bissl::host::test
