#include "bissl/error.h"
#include "bissl/pretext.h"
#include "networks.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"

#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::ChannelBackbone;
using test::close;
using test::flat;
using test::pattern;

constexpr ImageShape large{3, 4, 4};
constexpr ImageShape small{3, 2, 2};

const test::PluginLibrary& library() { return test::shared_library("swav"); }

/// swav with the widths of tests/reference/pretext.py in double precision, with its weights.
std::shared_ptr<Pretext> make(const ParameterValues& more,
                              const std::vector<ImageShape>& views = {large, large, small, small}) {
  ParameterValues values = {{"projector", std::vector<int64_t>{5, 3}},
                            {"prototypes", int64_t{7}},
                            {"temperature", 0.2},
                            {"epsilon", 0.25}};
  for (const auto& [name, value] : more) {
    values[name] = value;
  }
  auto swav = library().make<Pretext>(
      "swav", values,
      {.features = 6, .views = views, .samples = 64, .batch = 2, .hessian_batch = 2});
  swav->module().to(at::kDouble);
  test::fill(20, swav->module().parameters());
  swav->after_step(*std::make_shared<ChannelBackbone>(), {});  // normalises the prototypes
  for (const auto& entry : swav->module().named_buffers()) {
    if (entry.key() == "age") {
      entry.value().zero_();
    }
  }
  return swav;
}

Views views_of_step(int64_t step) {
  Views views = (pattern(100 + step, {2, 4, 3, 4, 4}) * 4).unbind();
  for (const at::Tensor& view : (pattern(200 + step, {2, 4, 3, 2, 2}) * 4).unbind()) {
    views.push_back(view);
  }
  return views;
}

std::vector<at::Tensor> trained(Backbone& backbone, Pretext& swav) {
  std::vector<at::Tensor> all = backbone.module().parameters();
  for (const at::Tensor& parameter : swav.module().parameters()) {
    all.push_back(parameter);
  }
  return all;
}

TEST(SwAv, TrainsAsPyTorchDoes) {
  const json golden = test::golden("pretext.json")["swav"];
  const auto swav = make({{"queue", golden["queue"].get<int64_t>()},
                          {"queue_after", golden["queue_after"].get<int64_t>()},
                          {"freeze_prototypes", golden["freeze"].get<int64_t>()},
                          {"sinkhorn_iterations", golden["iterations"].get<int64_t>()}});
  ChannelBackbone backbone;
  test::fill(10, backbone.module().parameters());
  const std::vector<at::Tensor> parameters = trained(backbone, *swav);
  for (int64_t step = 0; step < 5; ++step) {
    SCOPED_TRACE(step);
    const at::Tensor loss = swav->loss(backbone, views_of_step(step));
    EXPECT_NEAR(loss.item<double>(), golden["losses"][size_t(step)].get<double>(), 1e-11);
    TensorList gradients =
        torch::autograd::grad({loss}, parameters, {}, {}, false, /*allow_unused=*/true);
    if (step == 0) {
      EXPECT_FALSE(gradients.back().defined()) << "the prototypes are frozen in the first step";
      gradients.pop_back();
      EXPECT_TRUE(close(flat(gradients), golden["gradients"], 1e-11));
      gradients.push_back(at::zeros_like(parameters.back()));
    }
    test::descend(parameters, gradients);
    swav->after_step(backbone, {step, 5});
  }
  EXPECT_TRUE(close(flat(parameters), golden["weights"], 1e-10));
  EXPECT_TRUE(close(swav->module().named_buffers()["queue"], golden["rows"], 1e-10));
}

TEST(SwAv, HessianProductsAreThoseOfPyTorch) {
  const auto swav = make({});
  ChannelBackbone backbone;
  test::fill(10, backbone.module().parameters());
  EXPECT_TRUE(swav->holds_targets_fixed());
  const TensorList product =
      test::hessian_product(swav->loss(backbone, views_of_step(0)), backbone.module().parameters());
  EXPECT_TRUE(close(flat(product), test::golden("pretext.json")["swav"]["product"], 1e-10));
}

/// The loss of views whose assignments are those of a first pass: then its Hessian is that of
/// differences.
TEST(SwAv, HessianProductsAreThoseOfDifferencesWithFixedAssignments) {
  // One prototype for all samples that matter: with a large epsilon the assignment is even,
  // whatever the weights.
  const auto swav = make({{"epsilon", 1e9}});
  ChannelBackbone backbone;
  test::fill(10, backbone.module().parameters());
  test::expect_hessian_products(
      backbone.module().parameters(), [&] { return swav->loss(backbone, views_of_step(0)); }, 1e-6);
}

TEST(SwAv, AssignmentsSpreadOverPrototypesWhateverEpsilon) {
  for (const double epsilon : {1e-4, 1e-2, 0.05, 10.0}) {
    const auto swav = make({{"epsilon", epsilon}});
    ChannelBackbone backbone;
    const at::Tensor loss = swav->loss(backbone, views_of_step(0));
    EXPECT_TRUE(std::isfinite(loss.item<double>())) << epsilon;
  }
}

TEST(SwAv, WantsTheViewsThatTheAugmentationMakes) {
  EXPECT_EQ(make({})->views(), 4);
  EXPECT_EQ(make({}, {large})->views(), 2);
  EXPECT_EQ(make({}, {})->views(), 2);
  EXPECT_EQ(make({})->coupling(), BatchCoupling::batch_statistics);
}

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

TEST(SwAv, RefusesViewsInAnotherOrder) {
  EXPECT_NE(refusal([] {
              make({}, {small, small, large, large});
            }).find("view 3 is larger, 4x4. Name the full-size views first"),
            std::string::npos);
  EXPECT_NE(refusal([] {
              make({}, {large, small, small});
            }).find("must have one size; they have 4x4 and 2x2"),
            std::string::npos);
}

TEST(SwAv, RefusesBatchesThatItCannotAssign) {
  ChannelBackbone backbone;
  Views one = views_of_step(0);
  for (at::Tensor& view : one) {
    view = view.narrow(0, 0, 1);
  }
  EXPECT_NE(refusal([&] { make({})->loss(backbone, one); }).find("at least 2; found 1"),
            std::string::npos);
  EXPECT_NE(refusal([&] {
              make({{"queue", int64_t{3}}})->loss(backbone, views_of_step(0));
            }).find("queue = 3 does not hold a batch of 4 samples"),
            std::string::npos);
}

TEST(SwAv, RefusesFewerPrototypesThanClasses) {
  const auto with_classes = [](int64_t classes) {
    return refusal([&] {
      library().make<Pretext>("swav", {{"prototypes", int64_t{7}}},
                              {.features = 6,
                               .views = {large, large},
                               .samples = 64,
                               .classes = classes,
                               .batch = 2,
                               .hessian_batch = 2});
    });
  };
  EXPECT_NE(with_classes(8).find("swav: prototypes = 7 is fewer than the 8 classes of the data"),
            std::string::npos);
  EXPECT_EQ(with_classes(7).find("classes"), std::string::npos);
}

TEST(SwAv, RulesRefuseWhatCannotWork) {
  EXPECT_EQ(library().findings("swav", {}), std::vector<std::string>{});
  EXPECT_EQ(library().findings("swav", {{"queue_after", int64_t{3}}}),
            std::vector<std::string>{"warning queue_after: has no effect with queue = 0"});
  EXPECT_EQ(library().findings("swav", {{"projector", std::vector<int64_t>{}}}),
            std::vector<std::string>{"projector: needs at least one layer"});
}

}  // namespace
}  // namespace bissl::host
