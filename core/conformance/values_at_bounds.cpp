#include "conformance/values_at_bounds.h"

#include "bissl/augmentation.h"
#include "bissl/error.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "bissl/transform.h"
#include "conformance/samples.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

/// The bounds of a number that are among its values; none of anything else.
std::vector<Value> values_at_ends_of(const ParameterSpec& spec) {
  std::vector<Value> values;
  if (spec.type != ValueType::integer && spec.type != ValueType::floating) {
    return values;
  }
  for (const double bound : {spec.minimum, spec.maximum}) {
    Value value(bound);
    if (std::isfinite(bound) && convert(value, spec.type) && spec.refusal(value).empty()) {
      values.push_back(value);
    }
  }
  return values;
}

bool breaks_a_rule(const ComponentChoice& choice) {
  const std::vector<Finding> findings = choice.component->info.check(choice.values);
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.severity == Finding::Severity::error;
  });
}

/// An instance of one of the kinds that are tried.
std::shared_ptr<void> instance_of(const ComponentChoice& choice) {
  switch (choice.component->info.kind) {
    case ComponentKind::augmentation:
      return choice.create<Augmentation>(AugmentationContext{});
    case ComponentKind::transform:
      return choice.create<Transform>(TransformContext{});
    case ComponentKind::hypergradient:
      return choice.create<Hypergradient>(HypergradientContext{});
    case ComponentKind::optimizer:
      return choice.create<Optimizer>(OptimizerContext{small_parameters()});
    default:
      return nullptr;
  }
}

void require_made_or_refused(const ComponentChoice& choice, const std::string& parameter) {
  try {
    instance_of(choice);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::input,
            "{} = {} lies within its bounds, but ends in \"{}\", which is no error of wrong input: "
            "declare closer bounds, or refuse the value with fail_input",
            parameter, to_toml(choice.values.at(parameter)), error.what());
  }
}

}  // namespace

void check_values_at_bounds(Checker& checker) {
  checker.check("is made at the ends of its bounds, or refuses them as wrong input", [&] {
    for (const ParameterSpec& spec : checker.choice().component->info.parameters) {
      if (checker.given().count(spec.name) > 0) {
        continue;
      }
      for (const Value& value : values_at_ends_of(spec)) {
        ComponentChoice choice = checker.choice();
        choice.values[spec.name] = value;
        if (!breaks_a_rule(choice)) {
          require_made_or_refused(choice, spec.name);
        }
      }
    }
  });
}

}  // namespace bissl::host
