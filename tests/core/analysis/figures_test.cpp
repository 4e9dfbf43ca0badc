#include "analysis/figures.h"

#include "analysis/classes.h"
#include "analysis/dimension.h"
#include "analysis/neighbours.h"
#include "analysis/scores.h"
#include "analysis/similarity.h"
#include "analysis/spectrum.h"
#include "analysis/spread.h"
#include "bissl/error.h"
#include "reference/golden.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>

namespace bissl::host::test {
namespace {

constexpr int64_t rows = 90;
constexpr int64_t width = 12;

/// The data of tests/reference/analysis.py.
struct Reference {
  nlohmann::json expected = golden("analysis.json");
  at::Tensor labels = at::tensor(expected.at("labels").get<std::vector<int64_t>>(), at::kLong);
  at::Tensor features = pattern(1, {rows, width})
                            .add(pattern(2, {5, width}).index_select(0, labels).mul(0.8))
                            .add(0.3);
  at::Tensor other =
      at::matmul(features.narrow(1, 0, 8), pattern(3, {8, 7})).add(pattern(4, {rows, 7}).mul(0.2));
  at::Tensor views = pattern(5, {15, width})
                         .unsqueeze(1)
                         .add(pattern(6, {60, width}).view({15, 4, width}).mul(0.4));
  at::Tensor weights = pattern(7, {5, width});

  Measured compute(const FigureInfo& info) const {
    switch (info.input) {
      case FigureInput::features:
        return info.of_one(features);
      case FigureInput::views:
        return info.of_one(views);
      case FigureInput::classes:
        return info.of_two(features, labels);
      case FigureInput::networks:
        return info.of_two(features, other);
    }
    return Measured::none("an input that the test does not know");
  }
};

/// numpy, scipy and scikit-learn get to each of them another way.
TEST(Figures, AreThoseOfAnIndependentComputation) {
  const Reference reference;
  for (const FigureInfo& info : figures()) {
    const Measured found = reference.compute(info);
    ASSERT_TRUE(found.value) << info.name << ": " << found.why_not;
    const double expected = reference.expected.at("figures").at(info.name);
    EXPECT_NEAR(*found.value, expected, 1e-6 * std::abs(expected)) << info.name;
  }
  const Measured duality = nc3(reference.features, reference.labels, reference.weights);
  EXPECT_NEAR(*duality.value, reference.expected.at("figures").at("nc3").get<double>(), 1e-10);
  const std::vector<double> cosines = principal_cosines(reference.features, reference.other, 4);
  EXPECT_TRUE(close(at::tensor(cosines, at::kDouble), reference.expected.at("cosines"), 1e-9));
}

/// Whatever is declared has all its parts, and one name each.
TEST(Figures, DeclareWhatTheySay) {
  std::set<std::string> names;
  for (const FigureInfo& info : figures()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    const bool of_two = info.input == FigureInput::classes || info.input == FigureInput::networks;
    EXPECT_EQ(info.of_two != nullptr, of_two) << info.name;
    EXPECT_EQ(info.of_one != nullptr, !of_two) << info.name;
    for (const char* part : {info.formula, info.source, info.range, info.says}) {
      EXPECT_FALSE(std::string(part).empty()) << info.name;
    }
    EXPECT_NE(info.text().find(info.direction()), std::string::npos) << info.name;
  }
}

TEST(Figures, AreAllInTheDocumentation) {
  const std::string page = read_file(std::string(source_folder) + "/docs/analysis.md");
  const auto cell = [](std::string text) {
    for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
      text.insert(at, "\\");
    }
    return text;
  };
  const auto expect_row = [&](const auto& info) {
    const std::string row = "| `" + std::string(info.name) + "` | " + cell(info.formula) + " | " +
                            info.source + " | " + info.range + " | " + info.direction() + " | " +
                            info.says + " |";
    EXPECT_NE(page.find(row), std::string::npos) << row;
  };
  for (const FigureInfo& info : figures()) {
    expect_row(info);
  }
  for (const ScoreInfo& info : scores()) {
    expect_row(info);
  }
}

/// What a figure says, and what not, is said for people, too.
TEST(Figures, AreAllInThePageOnReadingRuns) {
  const std::string page = read_file(std::string(source_folder) + "/docs/reading-a-run.md");
  const size_t begin = page.find("| figure | says | does not say |");
  ASSERT_NE(begin, std::string::npos);
  const std::string table = page.substr(begin, page.find("\n\n", begin) - begin);
  const auto expect_name = [&](const std::string& name) {
    EXPECT_NE(table.find("`" + name + "`"), std::string::npos) << name;
  };
  for (const FigureInfo& info : figures()) {
    expect_name(info.name);
  }
  for (const ScoreInfo& info : scores()) {
    expect_name(info.name);
  }
}

/// Of neighbours, of probes, of pictures: whatever their number or name is.
TEST(Scores, AreFoundByTheNamesInResults) {
  const auto found = [](const std::string& metric) {
    std::string names;
    for (const ScoreInfo& info : scores()) {
      names += info.is_called(metric) ? info.name : "";
    }
    return names;
  };
  EXPECT_EQ(found("knn20_top1"), "knnK_top1");
  EXPECT_EQ(found("knnK_top5"), "knnK_top5");
  EXPECT_EQ(found("logistic_top1"), "PROBE_top1");
  EXPECT_EQ(found("solo-learn_ece"), "PROBE_ece");
  EXPECT_EQ(found("head_loss"), "PROBE_loss");
  EXPECT_EQ(found("umap_trustworthiness"), "PLANE_trustworthiness");
  EXPECT_EQ(found("nc3"), "nc3");
  for (const char* unknown : {"knn_top1", "knnx_top1", "_top1", "other_top1", "nc4", "top1", ""}) {
    EXPECT_EQ(found(unknown), "") << unknown;
  }
}

/// Each figure of features that say nothing has a value in its range, or a reason.
TEST(Figures, OfDegenerateFeaturesAreFiniteOrRefused) {
  const at::Tensor single = pattern(1, {1, 4});
  const at::Tensor equal = at::full({40, 4}, 0.1, at::kDouble);
  const at::Tensor zero = at::zeros({40, 4}, at::kDouble);
  const at::Tensor ordinary = pattern(1, {40, 4});
  const at::Tensor one_class = at::zeros({40}, at::kLong);
  const at::Tensor own_class = at::arange(40, at::kLong);
  for (const FigureInfo& info : figures()) {
    std::vector<Measured> found;
    for (const at::Tensor& features : {single, equal, zero, ordinary}) {
      switch (info.input) {
        case FigureInput::features:
          found.push_back(info.of_one(features));
          break;
        case FigureInput::views:
          found.push_back(info.of_one(features.unsqueeze(1)));
          found.push_back(info.of_one(features.unsqueeze(0)));
          break;
        case FigureInput::classes:
          found.push_back(info.of_two(features, one_class.narrow(0, 0, features.size(0))));
          found.push_back(info.of_two(features, own_class.narrow(0, 0, features.size(0))));
          found.push_back(
              info.of_two(features, own_class.narrow(0, 0, features.size(0)).remainder(2)));
          break;
        case FigureInput::networks:
          found.push_back(info.of_two(features, features));
          found.push_back(info.of_two(features, ordinary.narrow(0, 0, features.size(0))));
          break;
      }
    }
    for (const Measured& one : found) {
      EXPECT_TRUE(one.value ? std::isfinite(*one.value) : !one.why_not.empty()) << info.name;
    }
  }
}

/// The whole number that a figure is, or the reason why it is none.
std::string answer_of(const Measured& found) {
  if (!found.value) {
    return found.why_not;
  }
  const auto whole = std::lround(*found.value);
  return std::abs(*found.value - static_cast<double>(whole)) < 1e-4 ? std::to_string(whole)
                                                                    : std::to_string(*found.value);
}

/// What each figure says of a single sample, of equal features, and of features that are 0.
TEST(Figures, HaveADefinedAnswerToDegenerateFeatures) {
  const std::string equal = "all features are equal";
  const std::string one_class = "there is one class";
  const std::string one_sample = "there is one sample";
  const std::string few_eigenvalues = "fewer than 3 eigenvalues of the covariance are not 0";
  const std::string one_side = "all features of one side are equal";
  const std::string same_mean = "all classes have the same mean";
  const std::string few_differ = "fewer than 3 samples differ";
  const std::string few_for_20 = "20 neighbours are looked at, and no more than 20 samples differ";
  const std::string one_view = "there is one view of each image";
  const std::string same_images = "all images have the same features";
  const std::string few_or_equal = "the samples are too few, or their features equal";
  const std::map<std::string, std::array<std::string, 3>> expected = {
      {"rankme", {"1", "1", "all features are 0"}},
      {"effective_rank", {equal, equal, equal}},
      {"participation_ratio", {equal, equal, equal}},
      {"alpha_req", {few_eigenvalues, few_eigenvalues, few_eigenvalues}},
      {"two_nn", {few_differ, few_differ, few_differ}},
      {"intrinsic_dimension", {few_for_20, few_for_20, few_for_20}},
      {"feature_std", {one_sample, "0", "0"}},
      {"uniformity", {one_sample, "0", "0"}},
      {"alignment", {one_view, "0", "0"}},
      {"lidar", {one_view, same_images, same_images}},
      {"silhouette", {one_class, "0", "0"}},
      {"davies_bouldin",
       {one_class, "two classes have the same mean", "two classes have the same mean"}},
      {"class_alignment", {"no class has two samples", "0", "0"}},
      {"scatter_ratio", {one_class, same_mean, same_mean}},
      {"nc1", {one_class, same_mean, same_mean}},
      {"nc2_norms", {one_class, same_mean, same_mean}},
      {"nc2_angles", {one_class, same_mean, same_mean}},
      {"cka", {one_side, one_side, one_side}},
      {"debiased_cka", {"there are fewer than 4 samples", few_or_equal, few_or_equal}},
      {"subspace_overlap", {one_side, one_side, one_side}},
  };
  const at::Tensor ordinary = pattern(1, {40, 4});
  const std::array<at::Tensor, 3> inputs = {pattern(1, {1, 4}), at::full({40, 4}, 0.1, at::kDouble),
                                            at::zeros({40, 4}, at::kDouble)};
  for (const FigureInfo& info : figures()) {
    ASSERT_EQ(expected.count(info.name), 1U) << info.name;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const at::Tensor& features = inputs[i];
      const int64_t samples = features.size(0);
      Measured found = Measured::none("an input that the test does not know");
      switch (info.input) {
        case FigureInput::features:
          found = info.of_one(features);
          break;
        case FigureInput::views:
          found = info.of_one(samples == 1 ? features.unsqueeze(1) : features.view({8, 5, 4}));
          break;
        case FigureInput::classes:
          found = info.of_two(features, at::arange(samples, at::kLong).remainder(2));
          break;
        case FigureInput::networks:
          found = info.of_two(features, ordinary.narrow(0, 0, samples));
          break;
      }
      EXPECT_EQ(answer_of(found), expected.at(info.name)[i]) << info.name << ", input " << i;
    }
  }
}

/// The same of what has no entry of its own among the figures.
TEST(Figures, OfClassifiersAndAnglesHaveADefinedAnswer) {
  const at::Tensor features = pattern(1, {8, 4});
  const at::Tensor labels = at::arange(8, at::kLong).remainder(2);
  const at::Tensor weights = pattern(2, {2, 4});
  EXPECT_EQ(nc3(features, at::zeros({8}, at::kLong), weights).why_not, "there is one class");
  EXPECT_EQ(nc3(features.mul(0), labels, weights).why_not, "all classes have the same mean");
  EXPECT_EQ(nc3(features, labels, weights.mul(0)).why_not, "the classifier's weights are 0");
  EXPECT_EQ(nc3(features, labels, pattern(2, {3, 4})).why_not,
            "the classifier has other classes than the samples");
  EXPECT_TRUE(principal_cosines(features.mul(0).add(0.1), features, 3).empty());
  EXPECT_TRUE(principal_cosines(features.narrow(0, 0, 1), features.narrow(0, 0, 1), 3).empty());
}

/// All samples of one class: nothing of how classes lie, but how far its samples are apart.
TEST(Figures, OfOneClassSayThatThereIsOne) {
  const at::Tensor features = pattern(1, {40, 4});
  for (const FigureInfo& info : figures()) {
    if (info.input == FigureInput::classes) {
      const Measured found = info.of_two(features, at::zeros({40}, at::kLong));
      const bool looks_within = std::string(info.name) == "class_alignment";
      EXPECT_EQ(found.value.has_value(), looks_within) << info.name;
      EXPECT_EQ(found.why_not, looks_within ? "" : "there is one class") << info.name;
    }
  }
}

TEST(Figures, SayWhyTheyHaveNoValue) {
  const at::Tensor equal = at::full({30, 4}, 0.1, at::kDouble);
  EXPECT_EQ(effective_rank(equal).why_not, "all features are equal");
  EXPECT_NEAR(*rankme(equal).value, 1, 1e-4);
  EXPECT_EQ(rankme(equal.mul(0)).why_not, "all features are 0");
  EXPECT_EQ(silhouette(pattern(1, {9, 3}), at::zeros({9}, at::kLong)).why_not,
            "there is one class");
  EXPECT_EQ(two_nn(equal).why_not, "fewer than 3 samples differ");
  EXPECT_NEAR(*feature_std(equal).value, 0, 1e-12);
  EXPECT_NEAR(*uniformity(equal).value, 0, 1e-12);
  EXPECT_EQ(linear_cka(equal, pattern(1, {30, 2})).why_not, "all features of one side are equal");
}

/// A squared distance is not negative, whatever rounding makes of equal features.
TEST(Figures, OfCollapsedFeaturesAreNoNegativeDistances) {
  for (int64_t k = 0; k < 60; ++k) {
    const at::Tensor equal = pattern(k, {1, 6}).expand({7, 6}).contiguous();
    EXPECT_GE(*alignment(equal.unsqueeze(0)).value, 0) << k;
    EXPECT_NEAR(*alignment(equal.unsqueeze(0)).value, 0, 1e-12) << k;
    EXPECT_GE(*class_alignment(equal, at::zeros({7}, at::kLong)).value, 0) << k;
  }
}

TEST(Figures, RefuseWhatAreNoFeatures) {
  at::Tensor features = pattern(1, {5, 3}).clone();
  EXPECT_THROW(rankme(features.select(0, 0)), Error);
  EXPECT_THROW(rankme(features.narrow(0, 0, 0)), Error);
  EXPECT_THROW(lidar(features), Error);
  EXPECT_THROW(silhouette(features, at::zeros({4}, at::kLong)), Error);
  EXPECT_THROW(linear_cka(features, features.narrow(0, 0, 4)), Error);
  const at::Tensor whole = pattern(1, {5, 3});
  const at::Tensor labels = at::arange(5, at::kLong).remainder(2);
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    features.data_ptr<double>()[4] = bad;
    for (const FigureInfo& info : figures()) {
      switch (info.input) {
        case FigureInput::features:
          EXPECT_THROW(info.of_one(features), Error) << info.name;
          break;
        case FigureInput::views:
          EXPECT_THROW(info.of_one(features.unsqueeze(0)), Error) << info.name;
          break;
        case FigureInput::classes:
          EXPECT_THROW(info.of_two(features, labels), Error) << info.name;
          break;
        case FigureInput::networks:
          EXPECT_THROW(info.of_two(features, whole), Error) << info.name;
          EXPECT_THROW(info.of_two(whole, features), Error) << info.name;
          break;
      }
    }
    EXPECT_THROW(nc3(features, labels, pattern(2, {2, 3})), Error);
    EXPECT_THROW(nc3(whole, labels, features.narrow(0, 0, 2)), Error);
    EXPECT_THROW(principal_cosines(whole, features, 2), Error);
  }
}

/// What does not change a network's knowledge does not change what networks have in common.
TEST(Figures, OfLikenessIgnoreRotationAndScale) {
  const at::Tensor features = pattern(1, {60, 2});
  const at::Tensor turned =
      at::matmul(features, at::tensor({0.6, -0.8, 0.8, 0.6}, at::kDouble).view({2, 2}))
          .mul(3)
          .add(5);
  EXPECT_NEAR(*linear_cka(features, turned).value, 1, 1e-9);
  EXPECT_NEAR(*debiased_cka(features, turned).value, 1, 1e-9);
  EXPECT_NEAR(*subspace_overlap(features, turned).value, 1, 1e-9);
}

/// More features than samples take the other way through the products.
TEST(Figures, OfWideFeaturesAreThoseOfTallOnes) {
  const at::Tensor features = pattern(1, {8, 5});
  const at::Tensor padded = at::cat({features, at::zeros({8, 20}, at::kDouble)}, 1);
  for (const FigureInfo& info : figures()) {
    if (info.input == FigureInput::features && std::string(info.name) != "feature_std") {
      const Measured tall = info.of_one(features);
      const Measured wide = info.of_one(padded);
      ASSERT_EQ(tall.value.has_value(), wide.value.has_value()) << info.name;
      if (tall.value) {
        EXPECT_NEAR(*tall.value, *wide.value, 1e-4) << info.name;
      }
    }
  }
  EXPECT_NEAR(*linear_cka(features, pattern(2, {8, 4})).value,
              *linear_cka(padded, pattern(2, {8, 4})).value, 1e-9);
}

TEST(Neighbours, LeaveOutTheQueryItselfAndNoOther) {
  const at::Tensor points = at::tensor({0.0, 0.0, 3.0, 1.0}, at::kFloat).view({4, 1});
  const auto found = nearest_rows(points, points, {2, Nearness::euclidean, true});
  EXPECT_EQ(found[0], (std::vector<Neighbour>{{0.0F, 1}, {-1.0F, 3}}));
  EXPECT_EQ(found[1], (std::vector<Neighbour>{{0.0F, 0}, {-1.0F, 3}}));
  EXPECT_EQ(found[2], (std::vector<Neighbour>{{-4.0F, 3}, {-9.0F, 0}}));
}

}  // namespace
}  // namespace bissl::host::test
