#include "stages/identity.h"

#include "bissl/hash.h"
#include "pipeline/lock.h"
#include "text/json_text.h"

#include <torch/version.h>

#include <map>
#include <set>
#include <utility>

namespace bissl {

StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                       const std::string& parent_key) {
  std::map<std::string, std::string> fingerprints;
  for (const std::string& name : data_names(stage)) {
    fingerprints[name] = data.fingerprint(name);
  }
  StageIdentity identity;
  identity.description = stage_description(pipeline, stage, fingerprints, parent_key);
  identity.key = hash_hex(json_text(identity.description));
  return identity;
}

std::vector<std::string> data_names(const Stage& stage) {
  std::vector<std::string> names;
  for (const std::string& key : stage.data_keys) {
    const size_t dot = key.find('.');
    const bool below = dot != std::string::npos;
    if (below && !stage.table.has_table(key.substr(0, dot))) {
      continue;
    }
    const Table& table = below ? stage.table.table(key.substr(0, dot)) : stage.table;
    const auto found = table.values.find(below ? key.substr(dot + 1) : key);
    if (found != table.values.end() && type_of(found->second) == ValueType::text) {
      names.push_back(std::get<std::string>(found->second));
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

std::string lock_text(const Pipeline& pipeline, DataCatalog& data) {
  std::vector<std::pair<std::string, std::string>> notes = {{"torch", TORCH_VERSION}};
  std::set<std::string> used;
  for (const Stage& stage : pipeline.stages) {
    for (const std::string& name : data_names(stage)) {
      used.insert(name);
    }
  }
  for (const DataSource& source : pipeline.data) {
    if (used.count(source.name) == 0) {
      continue;  // nothing of it is read
    }
    notes.emplace_back("fingerprint of data." + source.name, data.fingerprint(source.name));
  }
  return to_lock_toml(pipeline, notes);
}

}  // namespace bissl
