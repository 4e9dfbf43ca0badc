#include "cli/approximator_advice.h"

#include "bissl/error.h"
#include "models/guarded.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl::host {
namespace {

/// Whether the component's own rules refuse its values.
bool is_refused(const ComponentChoice& choice) {
  const std::vector<Finding> findings = choice.component->info.check(choice.values);
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.severity == Finding::Severity::error;
  });
}

/// False where it cannot be made.
bool does_without(const ComponentChoice& choice) {
  try {
    const auto approximator = create_guarded(choice, HypergradientContext{});
    return !approximator->needs().second_derivatives() && !is_refused(choice);
  } catch (const Error&) {
    return false;
  }
}

/// Empty where there is none.
std::string choice_without(const std::shared_ptr<const RegisteredComponent>& component) {
  const std::string use = fmt::format("use = \"{}\"", component->info.text.name);
  const ComponentChoice standard{component, defaults(component->info.parameters), "defaults"};
  if (does_without(standard)) {
    return use;
  }
  for (const ParameterSpec& spec : component->info.parameters) {
    if (spec.type != ValueType::string) {
      continue;
    }
    for (const std::string& value : spec.choices) {
      ComponentChoice choice = standard;
      choice.values[spec.name] = value;
      if (does_without(choice)) {
        return fmt::format("{}, {} = \"{}\"", use, spec.name, value);
      }
    }
  }
  return "";
}

}  // namespace

std::string approximators_without_second_derivatives(
    const std::vector<std::shared_ptr<const RegisteredComponent>>& components) {
  std::vector<std::string> found;
  for (const auto& component : components) {
    if (component->info.kind != ComponentKind::hypergradient) {
      continue;
    }
    if (const std::string choice = choice_without(component); !choice.empty()) {
      found.push_back(choice);
    }
  }
  return fmt::format("{}", fmt::join(found, "; "));
}

}  // namespace bissl::host
