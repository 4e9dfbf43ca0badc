#include "cli/approximator_advice.h"

#include "bissl/hypergradient.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

struct CurvatureOptions {
  std::string start = "zero";
  std::string curvature = "exact";
  int64_t probes = 0;
};

/// `curvature` has another name and other values than the key of those that ship.
Schema<CurvatureOptions> curvature_schema(bool only_with_probes) {
  Schema<CurvatureOptions> schema;
  schema.add("start", &CurvatureOptions::start, "where it begins").choices({"zero", "last"});
  schema.add("curvature", &CurvatureOptions::curvature, "of what the system is made")
      .choices({"exact", "sampled", "secant"});
  schema.add("probes", &CurvatureOptions::probes, "how many").at_least(0);
  schema.rule([only_with_probes](const CurvatureOptions& options, std::vector<Finding>& findings) {
    if (only_with_probes && options.curvature != "exact" && options.probes == 0) {
      findings.push_back({Finding::Severity::error, "probes", "must be more than 0"});
    }
  });
  return schema;
}

/// Differentiates twice unless its curvature is "secant".
class ByCurvature final : public Hypergradient {
 public:
  explicit ByCurvature(const CurvatureOptions& options) : options_(options) {}
  HypergradientSolution solve(const TensorList& u, ImplicitSystem& /*system*/) override {
    HypergradientSolution solution;
    solution.v = u;
    return solution;
  }
  HypergradientNeeds needs() const override {
    HypergradientNeeds needs;
    needs.solve.products = options_.curvature == "secant" ? 0 : 1;
    return needs;
  }

 private:
  CurvatureOptions options_;
};

/// Needs nothing.
class AsItIs final : public Hypergradient {
 public:
  HypergradientSolution solve(const TensorList& u, ImplicitSystem& /*system*/) override {
    HypergradientSolution solution;
    solution.v = u;
    return solution;
  }
  HypergradientNeeds needs() const override { return {}; }
};

struct Collected final : Registrar {
  using Registrar::add;
  void add(ComponentInfo added) override { info = std::move(added); }
  ComponentInfo info;
};

/// A registered component of a library that does not exist.
template <class Implementation, class Options>
std::shared_ptr<const RegisteredComponent> registered(const std::string& name,
                                                      const Schema<Options>& schema) {
  Collected collected;
  collected.Registrar::add<Hypergradient, Implementation>(
      {.name = name, .summary = "solves", .source = ""}, schema);
  return std::make_shared<RegisteredComponent>(RegisteredComponent{
      collected.info, {.path = name + ".so", .name = name, .version = "1", .license = "MIT"}});
}

TEST(ApproximatorAdvice, FindsTheChoiceUnderWhateverName) {
  EXPECT_EQ(approximators_without_second_derivatives(
                {registered<AsItIs>("as-it-is", Schema<NoOptions>()),
                 registered<ByCurvature>("by-curvature", curvature_schema(false))}),
            R"(use = "as-it-is"; use = "by-curvature", curvature = "secant")");
}

TEST(ApproximatorAdvice, NamesNoChoiceThatTheComponentItselfRefuses) {
  EXPECT_EQ(approximators_without_second_derivatives(
                {registered<ByCurvature>("by-curvature", curvature_schema(true))}),
            "");
}

}  // namespace
}  // namespace bissl::host::test
