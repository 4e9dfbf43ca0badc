#include "numerics/linear_probe.h"

#include "bissl/error.h"
#include "numerics/logistic_regression.h"
#include "reference/golden.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <fmt/format.h>

#include <limits>
#include <string>
#include <utility>

namespace bissl::host::test {
namespace {

at::Tensor probe_logits(const LinearProbe& probe, const at::Tensor& features) {
  return at::addmm(probe.bias, features.to(at::kDouble), probe.weight.t());
}

/// PyTorch trains the same classifier with its own optimizers, schedules and normalisation.
TEST(LinearProbe, FollowsEachProtocolAsPyTorchDoes) {
  const nlohmann::json expected = golden("linear_probe.json");
  const int64_t rows = expected.at("rows");
  const int64_t width = expected.at("width");
  const int64_t classes = expected.at("classes");
  const at::Tensor labels =
      at::tensor(expected.at("labels").get<std::vector<int64_t>>(), at::kLong);
  const at::Tensor features = pattern(1, {rows, width})
                                  .add(pattern(2, {classes, width}).index_select(0, labels))
                                  .add(0.2)
                                  .mul(0.3);
  const LinearProbe start{pattern(3, {classes, width}), pattern(4, {classes})};
  ASSERT_EQ(expected.at("protocols").size(), probe_protocols().size());
  const at::Tensor views = at::cat({features, features.add(pattern(5, {rows, width}), 0.1),
                                    features.add(pattern(6, {rows, width}), 0.1)});
  for (const auto& [key, seen] :
       {std::pair("protocols", features), std::pair("of_three_views", views)}) {
    for (const ProbeProtocol& protocol : probe_protocols()) {
      const std::string name = fmt::format("{}: {}", key, protocol.name);
      const nlohmann::json& one = expected.at(key).at(protocol.name);
      const LinearProbe probe = fit_linear_probe(seen, labels, classes, protocol, 1, start);
      const at::Tensor logits = probe_logits(probe, features);
      EXPECT_TRUE(close(logits, one.at("logits"), 1e-7)) << name;
      const LogitScore score = score_logits(logits, labels);
      EXPECT_NEAR(score.loss, one.at("loss").get<double>(), 1e-8) << name;
      EXPECT_EQ(score.accuracy, one.at("top1").get<double>()) << name;
    }
  }
}

/// Class c has the feature e_c alone. From weights of 0, symmetry leaves two numbers: all weights
/// of a class's own feature are equal, and so are all others.
TEST(LinearProbe, OfOneFeatureForEachClassFollowsTwoNumbers) {
  constexpr int64_t classes = 4;
  const at::Tensor features = at::eye(classes, at::kDouble).repeat({3, 1});
  const at::Tensor labels = at::tensor(std::vector<int64_t>{0, 1, 2, 3}, at::kLong).repeat({3});
  const LinearProbe zero{at::zeros({classes, classes}, at::kDouble),
                         at::zeros({classes}, at::kDouble)};
  const ProbeProtocol& protocol = *probe_protocol("moco");
  double own = 0;
  double other = 0;
  double own_speed = 0;
  double other_speed = 0;
  for (int epoch = 0; epoch < 100; ++epoch) {
    const double wrong = std::exp(other - own);
    const double share = 1 / (1 + (classes - 1) * wrong);
    own_speed = 0.9 * own_speed + (share - 1) / classes;
    other_speed = 0.9 * other_speed + wrong * share / classes;
    const double rate = epoch < 60 ? 30 : epoch < 80 ? 3 : 0.3;
    own -= rate * own_speed;
    other -= rate * other_speed;
  }
  const LinearProbe probe = fit_linear_probe(features, labels, classes, protocol, 1, zero);
  for (int64_t row = 0; row < classes; ++row) {
    for (int64_t column = 0; column < classes; ++column) {
      EXPECT_NEAR(probe.weight[row][column].item<double>(), row == column ? own : other, 1e-8);
    }
    EXPECT_NEAR(probe.bias[row].item<double>(), 0, 1e-12);
  }
}

/// Classes that lie apart are classified rightly in batches, too, and a seed gives one result.
TEST(LinearProbe, OfBatchesSeparatesClassesThatLieApart) {
  const at::Tensor labels = at::tensor(std::vector<int64_t>{0, 1, 2}, at::kLong).repeat({200});
  const at::Tensor features = at::eye(3, at::kDouble)
                                  .index_select(0, labels)
                                  .mul(6)
                                  .add(pattern(1, {600, 3}).mul(0.5))
                                  .to(at::kFloat);
  for (const char* name : {"solo-learn", "lightly", "moco"}) {
    const ProbeProtocol& protocol = *probe_protocol(name);
    const LinearProbe probe = fit_linear_probe(features, labels, 3, protocol, 5);
    EXPECT_EQ(score_logits(probe_logits(probe, features), labels).accuracy, 1) << name;
    EXPECT_TRUE(probe.weight.equal(fit_linear_probe(features, labels, 3, protocol, 5).weight));
    EXPECT_FALSE(probe.weight.equal(fit_linear_probe(features, labels, 3, protocol, 6).weight));
  }
}

TEST(LinearProbe, RefusesWhatItCannotBeFittedTo) {
  const ProbeProtocol& protocol = *probe_protocol("mae");
  const at::Tensor features = pattern(1, {2, 3});
  const auto refusal = [&](const at::Tensor& rows, const std::vector<int64_t>& labels) {
    try {
      fit_linear_probe(rows, at::tensor(labels, at::kLong), 2, protocol, 0);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(
      refusal(pattern(1, {3, 3}), {0, 1}).find("these have 2 dimensions with 3 rows, and 2 labels"),
      std::string::npos);
  EXPECT_NE(refusal(features, {0, 2}).find("are 0 … 1; these have 2"), std::string::npos);
  EXPECT_NE(refusal(features.mul(std::numeric_limits<double>::infinity()), {0, 1})
                .find("are not all finite"),
            std::string::npos);
  // One sample has no spread, and is still no number that is not finite.
  EXPECT_EQ(refusal(features.narrow(0, 0, 1), {1}), "");
  EXPECT_EQ(probe_protocol("byol"), nullptr);
}

}  // namespace
}  // namespace bissl::host::test
