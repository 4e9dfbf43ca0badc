#pragma once

#include "pipeline/pipeline.h"

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// The pipeline with everything resolved, as TOML: overrides, included files, `like`, inheritance
/// and defaults are all written out, components by their qualified names, plugin folders as
/// absolute paths. The reader makes an equal pipeline of it. The table `[lock]`, which the reader
/// skips, records what was there at the time: the sdk's version, `notes` (such as the version of
/// LibTorch and fingerprints of data) and the version of each library in `[lock.libraries]`.
/// `lock.identity` is what identity_of() gives.
std::string to_lock_toml(const Pipeline& pipeline,
                         const std::vector<std::pair<std::string, std::string>>& notes = {});

/// A hash that is equal for two pipelines with these notes exactly if they are the same but for
/// what changes no result (ParameterBuilder::execution_only): where data lies, how it is loaded.
std::string identity_of(const Pipeline& pipeline,
                        const std::vector<std::pair<std::string, std::string>>& notes);

/// `lock.identity` of a lock file's text; empty if it has none.
std::string identity_in_lock(const std::string& lock);

/// Forms that are equal exactly if two things are the same: independent of the order and spelling
/// of the TOML, of what was left to defaults, of what changes no result, and of positions. dump()
/// of them is deterministic.
nlohmann::json canonical(const Table& table);
/// That of the augmentation, or an array with that of each transform.
nlohmann::json canonical(const AugmentChoice& choice);
/// Kind, name, library, the library's version, and all values; of a path only whether there is one:
/// what it leads to is in the stage's key by its content (StageIdentity).
nlohmann::json canonical(const ComponentChoice& choice);
/// Dataset, with its paths as they are given, and selection; the source's own name is not part of
/// it.
nlohmann::json canonical(const DataSource& source);
/// Names included, plugin folders and the file's place not.
nlohmann::json canonical(const Pipeline& pipeline);

/// The form of stage_description, which is part of it. Keys of different forms never are the same.
/// Form 1, which had no number, held paths of data, audits and how the Hessian's graph is kept.
inline constexpr int stage_key_format = 2;

/// All that the result of a stage depends on; hash_hex of its json_text is the stage's key, and the
/// descriptions of two stages show in what they differ. Names of stages and of data sources are not
/// in it, so renaming keeps the key: a data source is replaced by itself with its fingerprint, and
/// the parent is represented by its own key (empty for a stage that starts from random weights).
/// So is the stage that this one is as long as (`match`), by `matched_key`.
/// `data_fingerprints` has one for each data source that the stage names (Error of kind run if
/// not).
nlohmann::json stage_description(const Pipeline& pipeline, const Stage& stage,
                                 const std::map<std::string, std::string>& data_fingerprints,
                                 const std::string& parent_key,
                                 const std::string& matched_key = "");

}  // namespace bissl::host
