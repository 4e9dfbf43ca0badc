#include "stages/check.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/diagnostics.h"
#include "stages/audit_artefact.h"
#include "stages/batch_statistics.h"
#include "stages/compute.h"
#include "stages/data_findings.h"
#include "stages/identity.h"
#include "stages/precision.h"
#include "stages/stage_kind.h"
#include "stages/step_memory.h"
#include "stages/trial.h"
#include "store/run_folder.h"
#include "store/stage_store.h"
#include "telemetry/peak_memory.h"

#include <malloc.h>

#include <algorithm>
#include <map>
#include <set>

namespace bissl::host {

namespace {

void look_at_data(StageTrial& trial) {
  const StageContext& context = trial.context();
  for (std::string& text : data_findings(context.pipeline, context.stage, context.data)) {
    trial.plan().warnings.push_back(std::move(text));
  }
}

void look_at_lengths(StageTrial& trial) {
  const std::vector<std::string>& doubts = trial.context().stage.doubts;
  trial.plan().warnings.insert(trial.plan().warnings.end(), doubts.begin(), doubts.end());
  trial.judge_length();
}

void look_at_precision(StageTrial& trial) {
  for (std::string& text : precision_doubts(trial.context())) {
    trial.plan().warnings.push_back(std::move(text));
  }
}

}  // namespace

const std::vector<StageCheck>& stage_checks() {
  static const std::vector<StageCheck> checks = {
      {"data, networks and what the parent hands on", TrialDepth::built,
       [](StageTrial& trial) { trial.build(); }},
      {"what it is scored on, and by which metrics", TrialDepth::built,
       [](StageTrial& trial) { trial.score(); }},
      {"what the data looks like", TrialDepth::tried, look_at_data},
      {"the sizes of images", TrialDepth::tried, [](StageTrial& trial) { trial.judge_images(); }},
      {"the sizes of batches", TrialDepth::tried, [](StageTrial& trial) { trial.judge_batches(); }},
      {"numbers of steps and schedules", TrialDepth::tried, look_at_lengths},
      {"what it computes in", TrialDepth::tried, look_at_precision},
      {"the memory that a step takes", TrialDepth::tried,
       [](StageTrial& trial) { trial.judge_memory(); }},
      {"a step of each kind", TrialDepth::tried, [](StageTrial& trial) { trial.step(); }},
      {"what it will cost", TrialDepth::tried,
       [](StageTrial& trial) {
         trial.estimate();
         trial.estimate_memory();
       }},
  };
  return checks;
}

StagePlan check_stage(const Pipeline& pipeline, const Stage& stage, const HandedOn* parent,
                      DataCatalog& data, const RunSettings& settings, TrialDepth depth,
                      std::optional<double> budget) {
  StagePlan plan;
  plan.name = stage.name;
  plan.kind = stage.kind;
  plan.from = stage.from;
  StageContext context = new_context(pipeline, stage, data, {}, settings);
  context.handed_on = parent;
  context.budget = budget;
  malloc_trim(0);  // what trials before this one have freed is no need of this one
  reset_peak_memory();
  try {
    const StagePrecision precision(context);
    const StageBatchStatistics statistics(context);
    const auto trial = stage_kind(stage.kind).trial(context, plan, depth == TrialDepth::measured);
    for (const StageCheck& check : stage_checks()) {
      if (depth >= check.from) {
        check.look(*trial);
      }
    }
    if (depth >= TrialDepth::tried) {
      plan.peak_memory =
          std::max(plan.peak_before, static_cast<double>(peak_memory())) + plan.held_bytes;
      if (std::string doubt = memory_doubt(plan.peak_memory); !doubt.empty()) {
        plan.warnings.push_back(std::move(doubt));
      }
    }
  } catch (const Error& error) {
    plan.errors.push_back(at_stage(context, error).what());
    plan.wrong_input = error.kind() == ErrorKind::input;
  } catch (const std::exception& exception) {
    plan.errors.push_back(at_stage(context, as_error(exception)).what());
  }
  return plan;
}

TrainingCost cost_in_plan(const StagePlan& plan) {
  TrainingCost cost = plan.cost;
  cost.seconds = plan.seconds;
  return cost;
}

namespace {

class PipelineCheck {
 public:
  explicit PipelineCheck(const CheckRequest& request)
      : request_(request), pipeline_(request.pipeline), data_(request.pipeline, request.datasets) {}

  std::vector<StagePlan> run() {
    find_keys();
    for (const Stage& stage : pipeline_.stages) {
      look_at(stage);
    }
    return std::move(plans_);
  }

 private:
  struct Known {
    std::string key;
    std::string error;  ///< why there is no key
    bool wrong_input = false;
    bool in_store = false;
    bool needed = true;  ///< something is to be done in it, or after it
  };

  void find_keys() {
    const std::filesystem::path root = store_folder(request_.out);
    for (const Stage& stage : pipeline_.stages) {
      Known& known = known_[stage.name];
      StageKeys keys;
      for (const std::string& name : dependencies(stage)) {
        keys[name] = known_[name].key;
      }
      if (std::any_of(keys.begin(), keys.end(),
                      [](const auto& one) { return one.second.empty(); })) {
        continue;  // that stage's error says so
      }
      try {
        known.key = identify(pipeline_, stage, data_, keys).key;
        known.in_store = std::filesystem::exists(root) && StageStore(root).contains(known.key);
      } catch (const Error& error) {
        known.error = error.what();
        known.wrong_input = error.kind() == ErrorKind::input;
      } catch (const std::exception& exception) {
        known.error = as_error(exception).what();
      }
    }
    if (request_.depth == TrialDepth::measured) {
      return;
    }
    for (auto& [name, known] : known_) {
      known.needed = !known.in_store;
    }
    for (auto stage = pipeline_.stages.rbegin(); stage != pipeline_.stages.rend(); ++stage) {
      if (known_[stage->name].needed) {
        for (const std::string& name : dependencies(*stage)) {
          known_[name].needed = true;
        }
      }
    }
  }

  void look_at(const Stage& stage) {
    const Known& known = known_[stage.name];
    StagePlan plan;
    if (known.needed) {
      const bool shallow = known.in_store && request_.depth != TrialDepth::measured;
      const HandedOn* parent = stage.from.empty() ? nullptr : &handed_on(stage.from);
      plan = check_stage(pipeline_, stage, parent, data_, request_.settings,
                         shallow ? TrialDepth::built : request_.depth, budget_of(stage));
    } else {
      plan.name = stage.name;
      plan.kind = stage.kind;
      plan.from = stage.from;
    }
    // Stages share sources: what was said of one need not be said again.
    std::erase_if(plan.warnings, [this](const std::string& text) {
      return is_about_data(text) && !told_of_data_.insert(text).second;
    });
    plan.key = known.key;
    plan.in_store = known.in_store;
    const auto audit = audit_identity(stage, known.key);
    if (known.in_store && audit && !StageStore(store_folder(request_.out)).contains(audit->key)) {
      plan.warnings.emplace_back(
          "the stage is finished and was trained without this audit: a run trains it again for the "
          "audit's figures, its weights and results stay as they are");
    }
    const auto told = [&](const std::string& error) {
      return error.find(known.error) != std::string::npos;
    };
    if (!known.error.empty() && std::none_of(plan.errors.begin(), plan.errors.end(), told)) {
      plan.errors.push_back(fmt::format("stage.{} ({}): {}", spelled_key(stage.name),
                                        stage.table.origin, known.error));
      plan.wrong_input = plan.wrong_input || known.wrong_input;
    }
    const std::string link = link_problem(request_.out / pipeline_.name, stage.name);
    if (!link.empty()) {
      plan.errors.push_back(link);
      plan.wrong_input = true;
    }
    plans_.push_back(std::move(plan));
  }

  const StagePlan& plan_of(const std::string& stage) const {
    return *std::find_if(plans_.begin(), plans_.end(),
                         [&](const StagePlan& plan) { return plan.name == stage; });
  }

  const HandedOn& handed_on(const std::string& stage) const { return plan_of(stage).weights; }

  /// How much a stage with `match` will train: exactly, where the stages before it are finished.
  std::optional<double> budget_of(const Stage& stage) const {
    const std::optional<MatchOptions> match = parse_match(stage.table);
    if (!match) {
      return std::nullopt;
    }
    const auto cost = [&](const std::string& name) {
      const Known& known = known_.at(name);
      if (known.in_store) {
        if (const auto folder = StageStore(store_folder(request_.out)).find(known.key)) {
          return cost_of(read_stage_results(*folder));
        }
      }
      return cost_in_plan(plan_of(name));
    };
    return matched_budget(*match, cost(match->stage),
                          stage.from.empty() ? TrainingCost{} : cost(stage.from));
  }

  const CheckRequest& request_;
  const Pipeline& pipeline_;
  DataCatalog data_;
  std::map<std::string, Known> known_;
  std::set<std::string> told_of_data_;
  std::vector<StagePlan> plans_;
};

}  // namespace

std::vector<StagePlan> check_pipeline(const CheckRequest& request) {
  return PipelineCheck(request).run();
}

}  // namespace bissl::host
