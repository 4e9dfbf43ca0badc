#include "stages/identity.h"

#include "base/json_text.h"
#include "bissl/error.h"
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

/// A file or a folder that a parameter of a component names.
struct ComponentFile {
  std::string place;  ///< the keys that lead to it: "lower.optimizer.file"
  std::string path;
  const ComponentChoice* component;
};
using ComponentFiles = std::vector<ComponentFile>;

void add_files(const ComponentChoice& choice, const std::string& place, ComponentFiles& files) {
  const auto add = [&](const std::string& key, const std::string& path) {
    if (!path.empty()) {
      files.push_back({place + "." + key, path, &choice});
    }
  };
  for (const ParameterSpec& spec : choice.component->info.parameters) {
    if (!spec.is_path()) {
      continue;
    }
    const Value& value = choice.values.at(spec.name);
    if (const auto* path = std::get_if<std::string>(&value)) {
      add(spec.name, *path);
    } else if (const auto* paths = std::get_if<std::vector<std::string>>(&value)) {
      for (size_t i = 0; i < paths->size(); ++i) {
        add(fmt::format("{}.{}", spec.name, i), (*paths)[i]);
      }
    }
  }
}

void add_files(const AugmentChoice& choice, const std::string& place, ComponentFiles& files) {
  for (size_t i = 0; i < choice.steps.size(); ++i) {
    add_files(choice.steps[i], choice.is_chain ? fmt::format("{}.{}", place, i) : place, files);
  }
}

/// Those of all components of a table and of the tables in it, but for what changes no result.
/// `prefix` ends in a dot, or is empty.
void add_files(const Table& table, const std::string& prefix, ComponentFiles& files) {
  if (table.views && table.views->declares_number) {
    for (size_t i = 0; i < table.views->groups.size(); ++i) {
      add_files(table.views->groups[i].augment, fmt::format("{}views.{}.augment", prefix, i),
                files);
    }
  } else if (table.views) {
    add_files(table.views->groups.front().augment, prefix + "augment", files);
  }
  for (const auto& [name, choice] : table.components) {
    add_files(choice, prefix + name, files);
  }
  for (const auto& [name, subtable] : table.tables) {
    if (table.execution_only.count(name) == 0) {
      add_files(subtable, prefix + name + ".", files);
    }
  }
  for (const auto& [name, items] : table.lists) {
    for (size_t i = 0; i < items.size(); ++i) {
      add_files(items[i], fmt::format("{}{}.{}.", prefix, name, i), files);
    }
  }
}

/// The hash of the content. Throws Error(input) that names the component.
std::string hash_of(const ComponentFile& file, DataCatalog& data) {
  try {
    return data.content_hash(file.path);
  } catch (const Error& error) {
    throw error.at(file.component->describe());
  }
}

/// Hashes of the files that are no data and whose content a stage's result depends on.
struct FileHashes {
  std::vector<std::string> files;                 ///< those of the kind, then the backbone's
  std::map<std::string, std::string> components;  ///< those of the stage's components, by place
};

FileHashes hashes_of_files(const Pipeline& pipeline, const Stage& stage, DataCatalog& data) {
  FileHashes hashes;
  for (const std::string& file : stage_kind(stage.kind).files(stage)) {
    hashes.files.push_back(data.file_hash(file));
  }
  ComponentFiles of_backbone;
  add_files(pipeline.backbone, "backbone", of_backbone);
  for (const ComponentFile& file : of_backbone) {
    hashes.files.push_back(hash_of(file, data));
  }
  ComponentFiles of_components;
  add_files(stage.table, "", of_components);
  for (const ComponentFile& file : of_components) {
    hashes.components[file.place] = hash_of(file, data);
  }
  return hashes;
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
  const FileHashes hashes = hashes_of_files(pipeline, stage, data);
  // Neither is there without such a file, so that it changes the keys of no other stage.
  for (const std::string& hash : hashes.files) {
    identity.description["files"].push_back(hash);
  }
  for (const auto& [place, hash] : hashes.components) {
    identity.description["component_files"][place] = hash;
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
    const FileHashes hashes = hashes_of_files(pipeline, stage, data);
    for (size_t i = 0; i < hashes.files.size(); ++i) {
      // No two notes have one name: they are keys of a TOML table.
      const std::string which = i == 0 ? "a file" : fmt::format("file {}", i + 1);
      notes.emplace_back(fmt::format("hash of {} of stage.{}", which, stage.name), hashes.files[i]);
    }
    for (const auto& [place, hash] : hashes.components) {
      notes.emplace_back(fmt::format("hash of stage.{}.{}", stage.name, place), hash);
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
