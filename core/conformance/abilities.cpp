#include "conformance/abilities.h"

#include "bissl/augmentation.h"
#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/batch_transform.h"
#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/dataset.h"
#include "bissl/downstream.h"
#include "bissl/downstream_abilities.h"
#include "bissl/file_sequence.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "bissl/planned_view.h"
#include "bissl/pretext.h"
#include "bissl/sample_names.h"
#include "bissl/transform.h"
#include "bissl/transform_abilities.h"
#include "conformance/downstream_trial.h"
#include "conformance/pretext_trial.h"
#include "conformance/samples.h"

#include <string_view>
#include <type_traits>

namespace bissl::host {
namespace {

/// What is wrong with a component's abilities, and what may be.
struct AbilityFindings {
  std::string fault;   ///< empty where nothing is wrong
  std::string remark;  ///< empty where there is none
};

/// Answers null on purpose where its views cannot be planned with these parameters.
template <class Ability>
constexpr bool depends_on_parameters =
    std::is_same_v<Ability, PlannedStep> || std::is_same_v<Ability, PlannedViews>;

template <class Ability, class Interface>
void look_at(Interface& component, AbilityFindings& findings) {
  void* const given = component.capability(Ability::id);
  void* const own = static_cast<void*>(dynamic_cast<Ability*>(&component));
  if (given != component.capability(Ability::id)) {
    findings.fault =
        fmt::format("capability(\"{}\") gives another address at a second call", Ability::id);
  } else if (given != nullptr && own != nullptr && given != own) {
    findings.fault = fmt::format(
        "capability(\"{}\") gives the address of something else than that ability; write it with "
        "provide<…>(*this, id), or cast to the interface that the identifier names",
        Ability::id);
  } else if (given == nullptr && own != nullptr && !depends_on_parameters<Ability>) {
    findings.remark = fmt::format(
        "it derives from the ability \"{}\" and capability() gives null for it, so the program "
        "never calls its methods; unless that is meant, name it in provide<…>(*this, id)",
        Ability::id);
  }
}

template <class... Abilities, class Interface>
AbilityFindings look_at_all(Interface& component) {
  constexpr std::string_view of_nobody = "bissl.conformance.of-nobody/1";
  AbilityFindings findings;
  if (component.capability(of_nobody) != nullptr) {
    findings.fault = fmt::format(
        "capability(\"{}\") is not null, though there is no such ability; compare the identifier, "
        "as provide<…>(*this, id) does",
        of_nobody);
    return findings;
  }
  (look_at<Abilities>(component, findings), ...);
  return findings;
}

AbilityFindings findings_of(const Checker& checker) {
  switch (checker.choice().component->info.kind) {
    case ComponentKind::dataset:
      return look_at_all<DataFiles, FileSequence, DataNotes, SampleNames>(*checker.make<Dataset>());
    case ComponentKind::augmentation:
      return look_at_all<PlannedViews>(*checker.make<Augmentation>());
    case ComponentKind::transform:
      return look_at_all<PlannedStep, BatchViews, PlaneValues>(*checker.make<Transform>());
    case ComponentKind::backbone:
      return look_at_all<FeatureMaps, Tokens, LayerDepths>(
          *make_backbone_for_some_input(checker).backbone);
    case ComponentKind::pretext:
      return look_at_all<>(*PretextTrial(checker, at::kFloat).pretext);
    case ComponentKind::downstream:
      return look_at_all<MapHead, TokenHead, LossCoupling>(
          *make_downstream_for_some_targets(checker));
    case ComponentKind::hypergradient:
      return look_at_all<HypergradientState>(*checker.make<Hypergradient>());
    case ComponentKind::optimizer:
      return look_at_all<OptimizerMomentum, OptimizerMomentumSetting, OptimizerPreconditioner,
                         OptimizerWeightDecay>(*checker.make<Optimizer>({small_parameters()}));
  }
  return {};
}

}  // namespace

bool check_abilities(Checker& checker) {
  if (checker.failed()) {
    checker.skip(abilities_are_found, "not tried, since an earlier check failed");
    return true;
  }
  bool sound = true;
  checker.check(abilities_are_found, [&] {
    const AbilityFindings findings = findings_of(checker);
    sound = findings.fault.empty();
    require(sound, "{}", findings.fault);
    if (!findings.remark.empty()) {
      throw NotApplicable(findings.remark);
    }
  });
  return sound;
}

}  // namespace bissl::host
