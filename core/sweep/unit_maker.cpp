#include "sweep/unit_maker.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/matched_stage.h"
#include "pipeline/metric_name.h"
#include "stages/audit_artefact.h"
#include "stages/identity.h"
#include "stages/match.h"
#include "stages/stage_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace bissl::host {

namespace {

Diagnostic error_at(const Location& at, const std::string& key, const std::string& message,
                    const std::string& accepted = "", std::vector<std::string> suggestions = {}) {
  return {.severity = Diagnostic::Severity::error,
          .at = at,
          .key = key,
          .message = message,
          .accepted = accepted,
          .suggestions = std::move(suggestions)};
}

/// A stage and all that it needs before it.
void add_with_needs(const Pipeline& pipeline, const std::string& name,
                    std::set<std::string>& names) {
  if (names.insert(name).second) {
    for (const std::string& other : dependencies(pipeline.stage(name))) {
      add_with_needs(pipeline, other, names);
    }
  }
}

}  // namespace

size_t UnitMaker::add(const ConfigNode& root, const std::string& cell,
                      const std::vector<AskedMetric>& metrics) {
  ReadResult read = read_pipeline({.file = ablation_.pipeline,
                                   .overrides = {},
                                   .components = sources_.components,
                                   .stage_kinds = sources_.stage_kinds,
                                   .data_selection = sources_.data_selection,
                                   .root = root,
                                   // One cell may use what another does not.
                                   .warn_of_unused_data = false});
  for (const Diagnostic& diagnostic : read.diagnostics) {
    messages_.add(diagnostic, {cell});
  }
  PlanUnit unit;
  if (read.pipeline) {
    settle_lengths(*read.pipeline);
    const std::set<std::string> names = wanted(*read.pipeline, cell);
    for (const AskedMetric& asked : metrics) {
      check_metric(*read.pipeline, names, asked, cell);
    }
    add_stages(unit, *read.pipeline, names, cell);
  }
  units_.push_back(std::move(unit));
  pipelines_.push_back(read.pipeline ? std::move(*read.pipeline) : Pipeline());
  return units_.size() - 1;
}

/// Whether the metric is of a stage that is run and scored on that data. Which metrics these have
/// shows when the stages are tried.
void UnitMaker::check_metric(const Pipeline& pipeline, const std::set<std::string>& stages,
                             const AskedMetric& asked, const std::string& cell) {
  const std::optional<MetricName> wanted = parse_metric(asked.metric);
  if (!wanted) {
    return;  // reported by the reader
  }
  std::vector<std::string> possible;
  for (const Stage& stage : pipeline.stages) {
    if (stages.count(stage.name) == 0) {
      continue;
    }
    for (const DataUse& use : stage_kind(stage.kind).data(stage)) {
      if (use.scores) {
        if (stage.name == wanted->stage && use.name == wanted->data) {
          return;
        }
        possible.push_back(MetricName{stage.name, use.name, wanted->metric}.text());
      }
    }
  }
  messages_.add(
      error_at(asked.at, asked.key, fmt::format("no stage that is run gives {}", asked.metric),
               possible.empty() ? "none: no stage that is run is scored" : quoted_list(possible),
               nearest(asked.metric, possible)),
      {cell});
}

/// The stages to be run: those that are requested and what they continue.
std::set<std::string> UnitMaker::wanted(const Pipeline& pipeline, const std::string& cell) {
  std::set<std::string> names;
  std::vector<std::string> all;
  for (const Stage& stage : pipeline.stages) {
    all.push_back(stage.name);
  }
  const std::vector<std::string>& asked = ablation_.stages.empty() ? all : ablation_.stages;
  for (const std::string& name : asked) {
    if (std::find(all.begin(), all.end(), name) == all.end()) {
      messages_.add(error_at({ablation_.file.string(), 0, 0}, "stages",
                             fmt::format("there is no stage \"{}\"", name), quoted_list(all),
                             nearest(name, all)),
                    {cell});
      continue;
    }
    add_with_needs(pipeline, name, names);
  }
  return names;
}

void UnitMaker::add_stages(PlanUnit& unit, const Pipeline& pipeline,
                           const std::set<std::string>& names, const std::string& cell) {
  DataCatalog data(pipeline, datasets_);
  std::map<std::string, std::string> keys;
  try {
    for (const Stage& stage : pipeline.stages) {
      if (names.count(stage.name) == 0) {
        continue;
      }
      const std::string parent = stage.from.empty() ? "" : keys.at(stage.from);
      const std::string matched = matched_stage(stage).empty() ? "" : keys.at(matched_stage(stage));
      const std::string key = identify(pipeline, stage, data, keys).key;
      keys[stage.name] = key;
      unit.stages.emplace_back(stage.name, key);
      if (const auto audit = audit_identity(stage, key)) {
        unit.audits[stage.name] = audit->key;
      }
      if (keys_.insert(key).second) {
        nodes_.push_back({.key = key,
                          .stage = stage.name,
                          .kind = stage.kind,
                          .parent = parent,
                          .unit = units_.size(),
                          .compared = {},
                          .matched = matched});
        for (const std::string& compared : compared_stages(stage)) {
          nodes_.back().compared.push_back(keys.at(compared));
        }
      }
    }
    unit.lock = lock_text(pipeline, data);
  } catch (const Error& error) {
    messages_.add(error_at({ablation_.pipeline.string(), 0, 0}, "", error.what()), {cell});
  }
}

}  // namespace bissl::host
