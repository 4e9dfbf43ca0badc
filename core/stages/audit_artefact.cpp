#include "stages/audit_artefact.h"

#include "base/atomic_file.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/hash.h"
#include "pipeline/lock.h"
#include "stages/session.h"

#include <fstream>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* audit_table = "audit";
constexpr const char* figures_file = "audit.json";
constexpr const char* lines_file = "audits.jsonl";
constexpr const char* record_file = "audit-key.txt";

}  // namespace

std::optional<StageIdentity> audit_identity(const Stage& stage, const std::string& stage_key) {
  if (!stage.table.has_table(audit_table)) {
    return std::nullopt;
  }
  StageIdentity identity;
  identity.description = {{"format", stage_key_format},
                          {"kind", "audit"},
                          {"stage", stage_key},
                          {"audit", canonical(stage.table.table(audit_table))}};
  identity.key = hash_hex(json_text(identity.description));
  return identity;
}

json read_audit(const fs::path& folder) {
  json figures = read_json_file(folder / figures_file);
  figures["key"] = folder.filename().string();
  return figures;
}

json take_audit(StageResults& results) {
  const auto solves = results.details.find("solves");
  if (solves == results.details.end() || !solves->contains("audit")) {
    return nullptr;
  }
  json figures = std::move((*solves)["audit"]);
  solves->erase("audit");
  return figures;
}

void write_audit(const json& figures, const fs::path& stage, const fs::path& target) {
  AtomicFile lines(target / lines_file);
  // Whole lines are kept, with the texts in them, of which read_events gives the numbers alone.
  std::ifstream events(stage / event_log_file);
  for (std::string line; std::getline(events, line);) {
    const json event = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (event.is_object() && event.contains("audit")) {
      lines.write(line + "\n");
    }
  }
  lines.commit();
  write_file_atomically(target / figures_file, json_text(figures, 2) + "\n");
}

AuditRecord::AuditRecord(fs::path folder, const std::optional<StageIdentity>& audit, bool resumed)
    : folder_(std::move(folder)), audit_(audit) {
  constexpr uint64_t limit = 1 << 10;
  const fs::path file = folder_ / record_file;
  std::error_code ignored;
  whole_ =
      audit_ && (!resumed || (fs::exists(file, ignored) && read_whole(file, limit) == audit_->key));
  if (whole_) {
    write_file_atomically(file, audit_->key);
  } else {
    fs::remove(file, ignored);  // what is not whole stays so, whoever continues it
  }
}

void AuditRecord::publish(StageResults& results, StageStore& store) const {
  const json figures = take_audit(results);
  if (whole_ && !figures.is_null()) {
    std::optional<StageWork> work = store.try_begin(audit_->key, audit_->description);
    if (work && !work->finished()) {
      write_audit(figures, folder_, work->folder());
      work->publish();
    }
  }
  std::error_code ignored;
  fs::remove(folder_ / record_file, ignored);
}

}  // namespace bissl::host
