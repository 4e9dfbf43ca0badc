#pragma once

#include "data/catalog.h"
#include "pipeline/pipeline.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// What distinguishes a stage's results from others in the store.
struct StageIdentity {
  nlohmann::json description;  ///< all that the result depends on
  std::string key;             ///< a hash of its text
};
/// Keys of stages, by their names.
using StageKeys = std::map<std::string, std::string>;

/// `keys` has those of the stages that this one depends on. Opens the data.
StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                       const StageKeys& keys);

/// The same for any stage of the pipeline, whose parents' keys are made, too.
StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data);

/// The stages whose weights a stage reads beside its parent's (names_stages). Their keys are part
/// of its own.
std::vector<std::string> compared_stages(const Stage& stage);

/// The stages whose results a stage needs: the one that it continues, those that it reads beside it
/// and the one that it is as long as, where it has them.
std::vector<std::string> dependencies(const Stage& stage);

/// How many ancestors of a stage are of its kind.
int64_t generation_of(const Pipeline& pipeline, const Stage& stage);

/// What pipeline.lock.toml says of a pipeline, its data opened.
std::string lock_text(const Pipeline& pipeline, DataCatalog& data);

/// Whether the text is the lock of this pipeline, but for what changes no result.
bool is_lock_of(const std::string& lock, const Pipeline& pipeline, DataCatalog& data);

}  // namespace bissl::host
