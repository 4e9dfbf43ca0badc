#include "bissl/error.h"
#include "bissl/pretext.h"
#include "networks.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"

#include <map>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::ChannelBackbone;
using test::close;
using test::flat;
using test::pattern;

const test::PluginLibrary& library() { return test::shared_library("byol"); }

std::shared_ptr<Backbone> frozen_backbone() {
  auto backbone = std::make_shared<ChannelBackbone>();
  for (const at::Tensor& parameter : backbone->module().parameters()) {
    parameter.requires_grad_(false);
  }
  return backbone;
}

/// byol with the widths and weights of tests/reference/pretext.py, in double precision.
std::shared_ptr<Pretext> make(double momentum = 0.8, double momentum_end = 1.0) {
  auto byol = library().make<Pretext>("byol",
                                      {{"projector", std::vector<int64_t>{5, 3}},
                                       {"predictor", std::vector<int64_t>{4}},
                                       {"momentum", momentum},
                                       {"momentum_end", momentum_end}},
                                      {.features = 6, .make_backbone = frozen_backbone});
  byol->module().to(at::kDouble);
  const auto modules = byol->module().named_children();
  test::fill(20, test::parameters_of({modules["projector"], modules["predictor"]}));
  test::fill(40, modules["teacher"]->parameters());
  return byol;
}

std::vector<at::Tensor> teacher_of(Pretext& byol) {
  return byol.module().named_children()["teacher"]->parameters();
}

std::vector<at::Tensor> trained(Backbone& backbone, Pretext& byol) {
  std::vector<at::Tensor> all = backbone.module().parameters();
  for (const at::Tensor& parameter : byol.module().parameters()) {
    if (parameter.requires_grad()) {
      all.push_back(parameter);
    }
  }
  return all;
}

Views views_of_step(int64_t step) { return (pattern(100 + step, {2, 4, 3, 2, 2}) * 4).unbind(); }

TEST(Byol, TrainsAsPyTorchDoes) {
  const json golden = test::golden("pretext.json")["byol"];
  const auto byol = make(golden["momentum"]);
  ChannelBackbone backbone;
  test::fill(10, backbone.module().parameters());
  const std::vector<at::Tensor> parameters = trained(backbone, *byol);
  for (int64_t step = 0; step < 3; ++step) {
    SCOPED_TRACE(step);
    byol->before_step({step, golden["steps"]});
    const at::Tensor loss = byol->loss(backbone, views_of_step(step));
    EXPECT_NEAR(loss.item<double>(), golden["losses"][size_t(step)].get<double>(), 1e-12);
    const TensorList gradients = torch::autograd::grad({loss}, parameters);
    if (step == 0) {
      EXPECT_TRUE(close(flat(gradients), golden["gradients"], 1e-12));
    }
    test::descend(parameters, gradients);
    byol->after_step(backbone, {step, golden["steps"]});
  }
  EXPECT_TRUE(close(flat(parameters), golden["student"], 1e-12));
  EXPECT_TRUE(close(flat(teacher_of(*byol)), golden["teacher"], 1e-12));
}

TEST(Byol, HessianProductsAreThoseOfPyTorchAndOfDifferences) {
  const auto byol = make();
  ChannelBackbone backbone;
  test::fill(10, backbone.module().parameters());
  const auto loss = [&] { return byol->loss(backbone, views_of_step(0)); };
  const TensorList product = test::hessian_product(loss(), backbone.module().parameters());
  EXPECT_TRUE(close(flat(product), test::golden("pretext.json")["byol"]["product"], 1e-11));
  // The targets are the teacher's, which does not move with the student.
  EXPECT_FALSE(byol->holds_targets_fixed());
  test::expect_hessian_products(backbone.module().parameters(), loss, 1e-6);
}

TEST(Byol, TheTeacherBeginsAsTheStudent) {
  ChannelBackbone backbone;
  test::fill(10, backbone.module().parameters());
  const auto byol = library().make<Pretext>("byol", {{"projector", std::vector<int64_t>{5, 3}}},
                                            {.features = 6, .make_backbone = [&] {
                                               auto copy = frozen_backbone();
                                               test::fill(10, copy->module().parameters());
                                               return copy;
                                             }});
  const auto modules = byol->module().named_children();
  EXPECT_TRUE(flat(modules["teacher"]->named_children()["projector"]->parameters())
                  .equal(flat(modules["projector"]->parameters())));
  EXPECT_TRUE(flat(modules["teacher"]->named_children()["backbone"]->parameters())
                  .equal(flat(backbone.module().parameters())));
}

TEST(Byol, OnlyTheStudentIsTrained) {
  const auto byol = make();
  for (const auto& entry : byol->module().named_parameters()) {
    EXPECT_EQ(entry.value().requires_grad(), entry.key().rfind("teacher.", 0) != 0) << entry.key();
  }
}

TEST(Byol, TheMomentumIsACosineOverTheStage) {
  const auto share_kept = [](int64_t step, int64_t steps, double from, double to) {
    const auto byol = make(from, to);
    ChannelBackbone backbone;
    const std::vector<at::Tensor> student = backbone.module().parameters();
    test::fill(10, student);
    const double before = teacher_of(*byol)[0].flatten()[0].item<double>();
    const double towards = student[0].flatten()[0].item<double>();
    byol->after_step(backbone, {step, steps});
    const double after = teacher_of(*byol)[0].flatten()[0].item<double>();
    return (after - towards) / (before - towards);
  };
  EXPECT_NEAR(share_kept(0, 10, 0.9, 1.0), 0.9, 1e-9);
  EXPECT_NEAR(share_kept(5, 10, 0.9, 1.0), 0.95, 1e-9);
  EXPECT_NEAR(share_kept(9, 10, 0.9, 1.0), 1 - 0.1 * (std::cos(M_PI * 0.9) + 1) / 2, 1e-9);
  EXPECT_NEAR(share_kept(7, 10, 0.9, 0.9), 0.9, 1e-9);
}

TEST(Byol, RefusesABatchOfOne) {
  const auto byol = make();
  ChannelBackbone backbone;
  Views views = views_of_step(0);
  for (at::Tensor& view : views) {
    view = view.narrow(0, 0, 1);
  }
  try {
    byol->loss(backbone, views);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("at least 2; found 1"), std::string::npos);
  }
}

TEST(Byol, RulesRefuseWhatCannotWork) {
  EXPECT_EQ(library().findings("byol", {}), std::vector<std::string>{});
  EXPECT_EQ(library().findings("byol", {{"projector", std::vector<int64_t>{}}}),
            std::vector<std::string>{"projector: needs at least one layer"});
  EXPECT_EQ(library().findings("byol", {{"momentum_end", 0.5}}).size(), 1U);
  EXPECT_THROW(library().values("byol", {{"momentum", 1.5}}), std::invalid_argument);
}

}  // namespace
}  // namespace bissl::host
