#include "analysis/embedding.h"

#include "analysis/all_pairs.h"
#include "analysis/quadtree.h"
#include "bissl/error.h"
#include "reference/golden.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/pdist.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <limits>
#include <vector>

namespace bissl::host::test {
namespace {

/// The features of tests/reference/analysis.py.
at::Tensor reference_features(const nlohmann::json& expected) {
  const at::Tensor labels =
      at::tensor(expected.at("labels").get<std::vector<int64_t>>(), at::kLong);
  return pattern(1, {90, 12}).add(pattern(2, {5, 12}).index_select(0, labels).mul(0.8)).add(0.3);
}

TEST(Components, AreThoseOfScikitLearn) {
  const nlohmann::json expected = golden("analysis.json");
  const Components found = principal_components(reference_features(expected), 3);
  EXPECT_TRUE(close(at::tensor(found.shares, at::kDouble), expected.at("pca").at("shares"), 1e-10));
  EXPECT_TRUE(
      close(at::pdist(found.points).narrow(0, 0, 200), expected.at("pca").at("distances"), 1e-9));
}

TEST(Components, OfEqualFeaturesAreZero) {
  const Components found = principal_components(at::zeros({5, 3}, at::kDouble).add(0.1), 2);
  EXPECT_EQ(found.points.abs().max().item<double>(), 0);
  EXPECT_EQ(found.shares, (std::vector<double>{0, 0}));
}

/// One sample, and more directions than there are.
TEST(Components, OfFewSamplesAreThoseThatThereAre) {
  const Components one = principal_components(pattern(1, {1, 4}), 2);
  EXPECT_EQ(one.points.sizes(), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(one.points.item<double>(), 0);
  EXPECT_EQ(one.shares, std::vector<double>{0});
  const Components two = principal_components(pattern(1, {2, 4}), 2);
  EXPECT_NEAR(two.shares[0], 1, 1e-12);
  EXPECT_NEAR(two.shares[1], 0, 1e-12);
}

TEST(Embedding, RefusesFeaturesThatAreNotFinite) {
  at::Tensor features = pattern(1, {30, 3}).clone();
  features.data_ptr<double>()[7] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor plane = pattern(2, {30, 2});
  EXPECT_THROW(principal_components(features, 2), Error);
  EXPECT_THROW(tsne(features, {.iterations = 2}), Error);
  EXPECT_THROW(umap(features, {.epochs = 2}), Error);
  EXPECT_THROW(trustworthiness(features, plane, 5), Error);
  EXPECT_THROW(trustworthiness(plane, features.narrow(1, 0, 2), 5), Error);
}

TEST(Trustworthiness, IsThatOfScikitLearn) {
  const nlohmann::json expected = golden("analysis.json");
  const at::Tensor features = reference_features(expected);
  const at::Tensor plane = centred(features.narrow(1, 0, 2));
  EXPECT_NEAR(*trustworthiness(features, plane, 10).value,
              expected.at("trustworthiness").get<double>(), 1e-12);
  EXPECT_EQ(*trustworthiness(features, features, 10).value, 1);
  EXPECT_FALSE(trustworthiness(features, plane, 45).value);
}

/// θ = 0 goes through all points, equal ones included, as the direct sums do, of which 299 points
/// leave one over.
TEST(QuadTree, GivesTheSumsOverAllPoints) {
  std::vector<double> points;
  const at::Tensor numbers = pattern(3, {300, 2}).contiguous();
  points.assign(numbers.data_ptr<double>(), numbers.data_ptr<double>() + 600);
  for (size_t i = 20; i < 40; ++i) {
    points[i] = i % 2 == 0 ? 0.25 : -0.125;
  }
  const QuadTree tree(points);
  const AllPairs pairs(points);
  for (const size_t i : {size_t{0}, size_t{13}, size_t{299}}) {
    QuadTree::Force expected;
    for (size_t j = 0; j < 300; ++j) {
      const double dx = points[2 * i] - points[2 * j];
      const double dy = points[2 * i + 1] - points[2 * j + 1];
      const double weight = 1 / (1 + dx * dx + dy * dy);
      expected.sum += i == j ? 0 : weight;
      expected.x += weight * weight * dx;
      expected.y += weight * weight * dy;
    }
    const QuadTree::Force exact = tree.force_on(i, 0);
    EXPECT_NEAR(exact.sum, expected.sum, 1e-9);
    EXPECT_NEAR(exact.x, expected.x, 1e-9);
    EXPECT_NEAR(exact.y, expected.y, 1e-9);
    const QuadTree::Force direct = pairs.force_on(i);
    EXPECT_NEAR(direct.sum, expected.sum, 1e-9);
    EXPECT_NEAR(direct.x, expected.x, 1e-9);
    EXPECT_NEAR(direct.y, expected.y, 1e-9);
    EXPECT_NEAR(tree.force_on(i, 0.5).sum, expected.sum, 0.02 * expected.sum);
  }
  points.resize(598);
  const QuadTree::Force odd = AllPairs(points).force_on(7);
  const QuadTree::Force expected = QuadTree(points).force_on(7, 0);
  EXPECT_NEAR(odd.sum, expected.sum, 1e-9);
  EXPECT_NEAR(odd.x, expected.x, 1e-9);
  EXPECT_NEAR(odd.y, expected.y, 1e-9);
}

/// Two heaps of 12 dimensions far apart lie apart in the plane, and neighbours stay neighbours. A
/// single point may be caught on the other side, which rounding decides.
TEST(Tsne, KeepsNeighboursAndIsTheSameEachTime) {
  const at::Tensor heaps = at::cat({pattern(1, {60, 12}), pattern(2, {60, 12}).add(4)}, 0);
  const at::Tensor points = tsne(heaps, {.perplexity = 15, .iterations = 400});
  EXPECT_TRUE(points.equal(tsne(heaps, {.perplexity = 15, .iterations = 400})));
  EXPECT_GT(*trustworthiness(heaps, points, 5).value, 0.9);
  const auto heap = [&](int64_t number) { return points.narrow(0, 60 * number, 60); };
  const auto centre = [&](int64_t number) {
    return heap(number).mean(at::IntArrayRef{0}, /*keepdim=*/true);
  };
  for (const int64_t number : {0, 1}) {
    const at::Tensor own = heap(number).sub(centre(number)).norm(2, {1});
    const at::Tensor other = heap(number).sub(centre(1 - number)).norm(2, {1});
    EXPECT_GE(own.lt(other).sum().item<int64_t>(), 59) << "of 60 points, in heap " << number;
  }
}

/// On the same 240 samples, through all pairs and by trees, whose pictures are as good as each
/// other.
TEST(Tsne, KeepsNeighboursAsScikitLearnDoes) {
  const at::Tensor labels = at::arange(240, at::kLong).mul(7).remainder(31).remainder(6);
  const at::Tensor features =
      pattern(8, {240, 8}).add(pattern(9, {6, 8}).index_select(0, labels).mul(1.5));
  const nlohmann::json expected = golden("analysis.json").at("tsne");
  const auto kept = [&](double theta) {
    const at::Tensor points = tsne(features, {.theta = theta});
    return trustworthiness(features, points, 10).value.value_or(0.0);
  };
  const double of_pairs = kept(0);
  const double of_trees = kept(0.5);
  EXPECT_NEAR(of_pairs, expected.at("trustworthiness").get<double>(), 0.01);
  EXPECT_NEAR(of_trees, expected.at("trees").get<double>(), 0.01);
  EXPECT_NEAR(of_trees, of_pairs, 0.01);
}

TEST(Tsne, IsExactBelowFiveThousandSamples) {
  const at::Tensor few = pattern(1, {90, 12});
  const at::Tensor points = tsne(few, {.iterations = 60});
  EXPECT_TRUE(points.equal(tsne(few, {.iterations = 60, .theta = 0})));
  EXPECT_FALSE(points.equal(tsne(few, {.iterations = 60, .theta = 0.5})));
  const at::Tensor many = pattern(2, {5000, 3});
  const at::Tensor by_trees = tsne(many, {.perplexity = 5, .iterations = 4});
  EXPECT_TRUE(by_trees.equal(tsne(many, {.perplexity = 5, .iterations = 4, .theta = 0.5})));
}

/// As many samples as divide matrix products among threads, and as few as do not.
TEST(Embedding, IsTheSameWithAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  for (const at::Tensor& features : {pattern(1, {90, 12}), pattern(4, {300, 64})}) {
    const auto placed = [&](int threads) {
      at::set_num_threads(threads);
      const at::Tensor points = at::cat(
          {tsne(features, {.iterations = 60}), tsne(features, {.iterations = 60, .theta = 0.5}),
           umap(features, {.epochs = 40, .seed = 3}), principal_components(features, 2).points},
          0);
      EXPECT_EQ(at::get_num_threads(), threads);
      at::set_num_threads(before);
      return points;
    };
    const at::Tensor of_one = placed(1);
    for (const int threads : {2, 3}) {
      EXPECT_TRUE(of_one.equal(placed(threads)))
          << threads << " threads, " << features.size(0) << " samples";
    }
  }
}

TEST(Tsne, OfEqualOrFewFeaturesIsFiniteOrRefused) {
  const at::Tensor equal = at::zeros({8, 3}, at::kDouble);
  EXPECT_TRUE(tsne(equal, {.iterations = 20}).isfinite().all().item<bool>());
  EXPECT_TRUE(tsne(pattern(1, {4, 2}), {.iterations = 20}).isfinite().all().item<bool>());
  EXPECT_THROW(tsne(pattern(1, {3, 2}), {}), Error);
}

TEST(Umap, HasTheCurvesOfUmapLearn) {
  const nlohmann::json expected = golden("analysis.json");
  for (const auto& curve : expected.at("umap").at("curves")) {
    const UmapCurve found = umap_curve(curve.at(0).get<double>());
    EXPECT_NEAR(found.a, curve.at(1).get<double>(), 1e-6) << curve;
    EXPECT_NEAR(found.b, curve.at(2).get<double>(), 1e-6) << curve;
  }
}

TEST(Umap, HasTheEdgesOfUmapLearn) {
  const nlohmann::json expected = golden("analysis.json");
  const auto edges = umap_edges(reference_features(expected), 15);
  size_t next = 0;
  for (const UmapEdge& edge : edges) {
    if (edge.from % 30 != 0) {
      continue;
    }
    const nlohmann::json& one = expected.at("umap").at("edges").at(next++);
    ASSERT_EQ(edge.from, one.at(0).get<size_t>());
    ASSERT_EQ(edge.to, one.at(1).get<size_t>());
    EXPECT_NEAR(edge.weight, one.at(2).get<double>(), 1e-4) << one;
  }
  EXPECT_EQ(next, expected.at("umap").at("edges").size());
}

/// As well as umap-learn does in the mean of five seeds.
TEST(Umap, KeepsNeighboursAsUmapLearnDoes) {
  const nlohmann::json expected = golden("analysis.json");
  const at::Tensor features = reference_features(expected);
  double found = 0;
  double wanted = 0;
  for (size_t seed = 0; seed < 5; ++seed) {
    const at::Tensor points = umap(features, {.seed = seed});
    EXPECT_TRUE(points.equal(umap(features, {.seed = seed})));
    found += *trustworthiness(features, points, 10).value / 5;
    wanted += expected.at("umap").at("trustworthiness").at(seed).get<double>() / 5;
  }
  EXPECT_NEAR(found, wanted, 0.01);
}

TEST(Umap, OfEqualOrFewFeaturesIsFiniteOrRefused) {
  const at::Tensor equal = at::zeros({8, 3}, at::kDouble);
  EXPECT_TRUE(umap(equal, {.epochs = 20}).isfinite().all().item<bool>());
  EXPECT_TRUE(umap(pattern(1, {4, 2}), {.epochs = 20}).isfinite().all().item<bool>());
  EXPECT_THROW(umap(pattern(1, {3, 2}), {}), Error);
}

}  // namespace
}  // namespace bissl::host::test
