#pragma once

#include "data/catalog.h"
#include "pipeline/pipeline.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host {

/// What distinguishes a stage's results from others in the store.
struct StageIdentity {
  nlohmann::json description;  ///< all that the result depends on
  std::string key;             ///< a hash of its text
};
/// `parent_key` is empty for a stage without parent. Opens the data.
StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                       const std::string& parent_key);

/// The same for any stage of the pipeline, whose parents' keys are made, too.
StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data);

/// The stages whose weights a stage reads beside its parent's (names_stages). Their keys are part
/// of its own.
std::vector<std::string> compared_stages(const Stage& stage);

/// How many ancestors of a stage are of its kind.
int64_t generation_of(const Pipeline& pipeline, const Stage& stage);

/// What pipeline.lock.toml says of a pipeline, its data opened.
std::string lock_text(const Pipeline& pipeline, DataCatalog& data);

/// Whether the text is the lock of this pipeline, but for what changes no result.
bool is_lock_of(const std::string& lock, const Pipeline& pipeline, DataCatalog& data);

}  // namespace bissl::host
