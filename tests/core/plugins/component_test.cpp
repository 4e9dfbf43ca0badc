#include "plugins/component.h"

#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "fixtures.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

namespace bissl::host::test {
namespace {

ComponentChoice choose(const Registry& registry, ComponentKind kind, const std::string& name) {
  const auto component = registry.find(kind, name);
  if (!component) {
    throw std::runtime_error("the fixture has no " + name);
  }
  return {component, defaults(component->info.parameters), "p.toml:12:7"};
}

/// The Error that `function` throws, as (kind, text).
std::pair<ErrorKind, std::string> error_of(const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

class GoodComponent : public testing::Test {
 protected:
  GoodComponent() { EXPECT_TRUE(registry_.load_library(fixture("good"), true)); }

  Registry registry_;
  const std::string library_ = fixture("good").string();
};

TEST_F(GoodComponent, CreatesAndOutlivesTheRegistry) {
  auto registry = std::make_unique<Registry>();
  ASSERT_TRUE(registry->load_library(fixture("good"), true));
  auto choice =
      std::make_unique<ComponentChoice>(choose(*registry, ComponentKind::optimizer, "still"));
  choice->values["lr"] = 0.25;
  const auto optimizer = choice->create<Optimizer>(OptimizerContext{});
  choice.reset();
  registry.reset();
  EXPECT_EQ(optimizer->learning_rate(), 0.25);
}

TEST_F(GoodComponent, ChecksKind) {
  const auto choice = choose(registry_, ComponentKind::optimizer, "still");
  EXPECT_EQ(error_of([&] { choice.create<Hypergradient>(HypergradientContext{}); }),
            std::pair(ErrorKind::run, "optimizer still (library " + library_ +
                                          ", used at p.toml:12:7) cannot serve as hypergradient"));
}

TEST_F(GoodComponent, CallGivesTheResult) {
  const auto choice = choose(registry_, ComponentKind::optimizer, "still");
  int value = 3;
  EXPECT_EQ(call_component(choice, "step", [&] { return value + 1; }), 4);
  int& reference = call_component(choice, "step", [&]() -> int& { return value; });
  EXPECT_EQ(&reference, &value);
}

TEST_F(GoodComponent, ErrorOfACallNamesTheComponentAndKeepsItsKind) {
  const auto choice = choose(registry_, ComponentKind::hypergradient, "halve");
  const std::string place =
      "hypergradient halve (library " + library_ + ", used at p.toml:12:7), in solve: ";
  EXPECT_EQ(error_of([&] { call_component(choice, "solve", [] { fail_input("no mask"); }); }),
            std::pair(ErrorKind::input, place + "no mask"));
  EXPECT_EQ(error_of([&] {
              call_component(choice, "solve", [] { throw std::logic_error("shapes differ"); });
            }),
            std::pair(ErrorKind::run, place + "shapes differ"));
  EXPECT_EQ(error_of([&] { call_component(choice, "solve", [] { throw 42; }); }),
            std::pair(ErrorKind::run, place + "an exception that is not a std::exception"));
}

TEST_F(GoodComponent, TraceOfAddressesIsLeftOut) {
  const auto choice = choose(registry_, ComponentKind::hypergradient, "halve");
  const auto error = error_of([&] {
    call_component(choice, "solve", [] {
      throw std::runtime_error("sizes differ\nException raised from infer at Utils.cpp:12\n#0");
    });
  });
  EXPECT_EQ(error.second.substr(error.second.rfind(": ")), ": sizes differ");
}

class FailingFactory
    : public testing::TestWithParam<std::tuple<const char*, ErrorKind, const char*>> {};

TEST_P(FailingFactory, Message) {
  const auto& [name, kind, text] = GetParam();
  Registry registry;
  ASSERT_TRUE(registry.load_library(fixture("throwing_factory"), false));
  const auto choice = choose(registry, ComponentKind::optimizer, name);
  EXPECT_EQ(error_of([&] { choice.create<Optimizer>(OptimizerContext{}); }),
            std::pair(kind, fmt::format("optimizer {} (library {}, used at p.toml:12:7){}", name,
                                        fixture("throwing_factory").string(), text)));
}

INSTANTIATE_TEST_SUITE_P(
    Causes, FailingFactory,
    testing::Values(
        std::tuple("throws-std", ErrorKind::run, ", in construction: no parameter number 7"),
        std::tuple("throws-input", ErrorKind::input, ", in construction: the mask does not fit"),
        std::tuple("throws-foreign", ErrorKind::run,
                   ", in construction: an exception that is not a std::exception"),
        std::tuple("makes-nothing", ErrorKind::run, ": the factory returned null")),
    [](const auto& info) {
      std::string name = std::get<0>(info.param);
      name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
      return name;
    });

}  // namespace
}  // namespace bissl::host::test
