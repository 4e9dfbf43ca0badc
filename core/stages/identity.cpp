#include "stages/identity.h"

#include "base/json_text.h"
#include "bissl/hash.h"
#include "pipeline/lock.h"
#include "pipeline/matched_stage.h"
#include "pipeline/stage_graph.h"
#include "stages/rates.h"
#include "stages/stage_kind.h"

#include <fmt/format.h>
#include <torch/version.h>

#include <map>
#include <set>
#include <utility>

namespace bissl::host {
namespace {

/// The files that a component's parameters name.
std::vector<std::string> files_of(const ComponentChoice& choice) {
  std::vector<std::string> files;
  for (const ParameterSpec& spec : choice.component->info.parameters) {
    const auto* path = std::get_if<std::string>(&choice.values.at(spec.name));
    if (spec.is_path() && path != nullptr && !path->empty()) {
      files.push_back(*path);
    }
  }
  return files;
}

/// The files that are no data and whose content a stage's result depends on.
std::vector<std::string> files_of(const Pipeline& pipeline, const Stage& stage) {
  std::vector<std::string> files = stage_kind(stage.kind).files(stage);
  for (std::string& file : files_of(pipeline.backbone)) {
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                       const StageKeys& keys) {
  std::map<std::string, std::string> fingerprints;
  for (const std::string& name : data_names(stage.table)) {
    fingerprints[name] = data.fingerprint(name);
  }
  StageIdentity identity;
  const auto key_of = [&](const std::string& name) {
    return name.empty() ? std::string() : keys.at(name);
  };
  identity.description = stage_description(pipeline, stage, fingerprints, key_of(stage.from),
                                           key_of(matched_stage(stage)));
  for (const std::string& file : files_of(pipeline, stage)) {
    identity.description["files"].push_back(data.file_hash(file));
  }
  for (const std::string& name : compared_stages(stage)) {
    identity.description["compared"][name] = keys.at(name);
  }
  identity.key = hash_hex(json_text(identity.description));
  return identity;
}

StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data) {
  StageKeys keys;
  for (const std::string& name : dependencies(stage)) {
    keys[name] = identify(pipeline, pipeline.stage(name), data).key;
  }
  return identify(pipeline, stage, data, keys);
}

std::vector<std::string> compared_stages(const Stage& stage) {
  return named_stages(stage_kind(stage.kind).spec().table, stage.table.values);
}

std::vector<std::string> dependencies(const Stage& stage) {
  std::vector<std::string> names = compared_stages(stage);
  for (const std::string& name : {stage.from, matched_stage(stage)}) {
    if (!name.empty()) {
      names.push_back(name);
    }
  }
  return names;
}

int64_t generation_of(const Pipeline& pipeline, const Stage& stage) {
  int64_t generation = 0;
  for (std::string name = stage.from; !name.empty(); name = pipeline.stage(name).from) {
    generation += pipeline.stage(name).kind == stage.kind ? 1 : 0;
  }
  return generation;
}

namespace {

/// What a lock file records of its surroundings.
std::vector<std::pair<std::string, std::string>> lock_notes(const Pipeline& pipeline,
                                                            DataCatalog& data) {
  std::vector<std::pair<std::string, std::string>> notes = {{"torch", TORCH_VERSION}};
  std::set<std::string> used;
  for (const Stage& stage : pipeline.stages) {
    for (const std::string& name : data_names(stage.table)) {
      used.insert(name);
    }
  }
  for (const DataSource& source : pipeline.data) {
    if (used.count(source.name) == 0) {
      continue;  // nothing of it is read
    }
    notes.emplace_back("fingerprint of data." + source.name, data.fingerprint(source.name));
  }
  for (const Stage& stage : pipeline.stages) {
    for (const auto& [key, rate] : scaled_rates(stage)) {
      notes.emplace_back(fmt::format("scaled stage.{}.{}", stage.name, key),
                         fmt::format("{}", rate));
    }
    for (const std::string& file : files_of(pipeline, stage)) {
      notes.emplace_back("hash of a file of stage." + stage.name, data.file_hash(file));
    }
  }
  return notes;
}

}  // namespace

std::string lock_text(const Pipeline& pipeline, DataCatalog& data) {
  return to_lock_toml(pipeline, lock_notes(pipeline, data));
}

bool is_lock_of(const std::string& lock, const Pipeline& pipeline, DataCatalog& data) {
  return identity_in_lock(lock) == identity_of(pipeline, lock_notes(pipeline, data));
}

}  // namespace bissl::host
