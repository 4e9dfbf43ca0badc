#pragma once

#include "pipeline/pipeline.h"
#include "stages/identity.h"
#include "store/stage_results.h"
#include "store/stage_store.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace bissl::host {

// An audit changes nothing in the stage that it watches, so its settings are not in the stage's key
// and its figures are an artefact of their own. In the store that has a key beside the stage's, and
// a folder with audit.json (the figures) and audits.jsonl (the events of the audited steps).

/// The identity of the audit that a stage asks for; nothing if it asks for none.
std::optional<StageIdentity> audit_identity(const Stage& stage, const std::string& stage_key);

/// The figures of a finished audit, with the artefact's key under "key".
nlohmann::json read_audit(const std::filesystem::path& folder);

/// Takes the figures out of a stage's results, and returns them; null if there are none.
nlohmann::json take_audit(StageResults& results);

/// Writes an audit's files to `target`: the figures, and what the events in `stage` say of it.
void write_audit(const nlohmann::json& figures, const std::filesystem::path& stage,
                 const std::filesystem::path& target);

/// Which audit the work on a stage makes. A stage may be interrupted and continued with other
/// audits, or with none: then the figures are of a part of it only, and are dropped.
class AuditRecord {
 public:
  /// For work in this folder; `resumed` if it continues what an earlier process did.
  AuditRecord(std::filesystem::path folder, const std::optional<StageIdentity>& audit,
              bool resumed);

  /// Takes the figures out of the results of the stage, which is about to be published, and
  /// publishes them if they are of the whole stage. Ends the record.
  void publish(StageResults& results, StageStore& store) const;

 private:
  std::filesystem::path folder_;
  std::optional<StageIdentity> audit_;
  bool whole_ = false;  ///< an audit is requested, and all work on the stage has made it
};

}  // namespace bissl::host
