// What every component promises, whatever its kind.

#include "bissl/augmentation.h"
#include "bissl/backbone.h"
#include "bissl/dataset.h"
#include "bissl/downstream.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "bissl/transform.h"
#include "conformance/checker.h"
#include "conformance/downstream_trial.h"
#include "conformance/pretext_trial.h"
#include "conformance/samples.h"

#include <algorithm>

namespace bissl::host {
namespace {

/// An instance with a context that fits most components.
std::shared_ptr<void> make_any(const Checker& checker) {
  switch (checker.choice().component->info.kind) {
    case ComponentKind::dataset:
      return checker.make<Dataset>();
    case ComponentKind::augmentation:
      return checker.make<Augmentation>();
    case ComponentKind::backbone:
      return make_backbone_for_some_input(checker).backbone;
    case ComponentKind::pretext:
      return PretextTrial(checker, at::kFloat).pretext;
    case ComponentKind::downstream:
      return make_downstream_for_some_targets(checker);
    case ComponentKind::hypergradient:
      return checker.make<Hypergradient>();
    case ComponentKind::optimizer:
      return checker.make<Optimizer>({small_parameters()});
    case ComponentKind::transform:
      return checker.make<Transform>();
  }
  return nullptr;
}

}  // namespace

void check_declaration(Checker& checker) {
  const ComponentInfo& info = checker.choice().component->info;
  checker.check("has a summary of one line, and lines for its parameters", [&] {
    const auto is_line = [](const std::string& text) {
      return !text.empty() && text.find('\n') == std::string::npos;
    };
    require(is_line(info.text.summary), "the summary is empty or has several lines");
    for (const ParameterSpec& spec : info.parameters) {
      require(is_line(spec.doc), "parameter {} has no documentation, or several lines", spec.name);
    }
  });
  checker.check("its defaults lie within their bounds and break none of its rules", [&] {
    ParameterValues values = checker.choice().values;
    for (const ParameterSpec& spec : info.parameters) {
      const bool unset = type_of(spec.default_value) == ValueType::none;
      require(unset || spec.refusal(spec.default_value).empty(), "parameter {}: {}", spec.name,
              spec.refusal(spec.default_value));
    }
    for (const Finding& finding : info.check(values)) {
      require(finding.severity != Finding::Severity::error, "parameter {}: {}", finding.parameter,
              finding.message);
    }
  });
  checker.check("instances are made, and go in any order", [&] {
    std::shared_ptr<void> first = make_any(checker);
    std::shared_ptr<void> second = make_any(checker);
    std::shared_ptr<void> third = make_any(checker);
    require(first && second && third, "the factory returned null");
    require(first != second && second != third, "the factory gave one instance twice");
    second.reset();
    first.reset();
    third.reset();
  });
}

}  // namespace bissl::host
