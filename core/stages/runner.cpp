#include "stages/runner.h"

#include "base/atomic_file.h"
#include "base/posix_file.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/diagnostics.h"
#include "pipeline/lock.h"
#include "pipeline/matched_stage.h"
#include "pipeline/run_names.h"
#include "stages/audit_artefact.h"
#include "stages/chosen_values.h"
#include "stages/compute.h"
#include "stages/identity.h"
#include "stages/source_names.h"
#include "store/run_folder.h"
#include "store/run_origin.h"
#include "telemetry/profile.h"

#include <map>
#include <set>

namespace bissl::host {
namespace {

/// Runs the stages of one pipeline in order.
class Runner {
 public:
  Runner(const Pipeline& pipeline, const RunOptions& options)
      : pipeline_(pipeline),
        options_(options),
        data_(pipeline, options.datasets),
        store_(store_folder(options.out), options.listener),
        run_(options.out, pipeline.name) {}

  RunOutcome run();

 private:
  StageOutcome run_one(const Stage& stage);
  /// Puts the figures of the stage's audit into its results, if it asks for one.
  void add_audit(const StageTask& task, StageOutcome& outcome);
  void warn_about_replaced_plugins();
  void compute(const StageTask& task, StageWork& work);
  void remove_leftovers();
  bool has_folder();
  void link(const std::string& stage, const std::filesystem::path& folder);
  void write_results(const RunOutcome& outcome);
  void say(const std::string& text) const {
    if (options_.say) {
      options_.say(text);
    }
  }

  const Pipeline& pipeline_;
  const RunOptions& options_;
  DataCatalog data_;
  StageStore store_;
  RunFolder run_;
  std::string lock_;  ///< without what stages choose
  bool has_lost_folder_ = false;
  std::set<std::string> warned_;                  ///< of libraries, by path
  std::map<std::string, StageOutcome> finished_;  ///< by the stage's name
};

/// What an earlier version of the pipeline left must not pass for results of this one.
void Runner::remove_leftovers() {
  std::map<std::string, std::string> keys;
  for (const Stage& stage : pipeline_.stages) {
    keys[stage.name] = identify(pipeline_, stage, data_, keys).key;
  }
  run_.keep_only(keys);
}

/// Whether the run's folder is that of this pipeline still. A call on the file after an edit, begun
/// while this one runs, has put its lock there and removed what is not of it: with results of this
/// call beside that lock, they would pass for those of the edited file.
bool Runner::has_folder() {
  if (has_lost_folder_) {
    return false;
  }
  constexpr uint64_t limit = 1 << 24;
  std::string identity;
  try {
    identity = identity_in_lock(read_whole(run_.path() / run_lock_file, limit));
  } catch (const Error&) {
    // It is gone: what is written next says so.
  }
  has_lost_folder_ = !identity.empty() && identity != identity_in_lock(lock_);
  if (has_lost_folder_) {
    say(
        fmt::format("warning: {} is the folder of another version of this pipeline since: another "
                    "call has begun one there. The stages of this call stay in the store; nothing "
                    "of it is written into the folder any more",
                    run_.path().string()));
  }
  return !has_lost_folder_;
}

void Runner::link(const std::string& stage, const std::filesystem::path& folder) {
  if (has_folder()) {
    run_.link_stage(stage, folder);
  }
}

void Runner::write_results(const RunOutcome& outcome) {
  if (!has_folder()) {
    return;
  }
  RunResults results{.pipeline = pipeline_.name, .seed = pipeline_.seed};
  for (const StageOutcome& stage : outcome.stages) {
    results.stages[stage.name] = stage.results;
  }
  run_.write_results(results);
  if (const std::string lock = with_chosen_values(lock_, results); lock != lock_) {
    run_.write_lock(lock);
  }
}

/// Computes the stage. Of one that is interrupted or fails there is a profile, too.
void Runner::compute(const StageTask& task, StageWork& work) {
  if (!options_.profile) {
    compute_stage(task, work);
    return;
  }
  const std::string& name = task.stage.name;
  const std::filesystem::path folder = run_.path() / run_profile_folder;
  make_folder(folder);
  Profile profile;
  const auto write = [&] {
    const ProfileReport report = profile.stop();
    const std::filesystem::path tables = folder / (name + profile_text_ending);
    const std::filesystem::path trace = folder / (name + profile_trace_ending);
    write_file_atomically(tables, fmt::format("stage.{}: {}", spelled_key(name), report.text()));
    profile.write_trace(trace);
    say(fmt::format("{}: profile in {} and {}", name, tables.string(), trace.string()));
  };
  try {
    compute_stage(task, work);
  } catch (...) {
    write();
    throw;
  }
  write();
}

StageOutcome Runner::run_one(const Stage& stage) {
  StageKeys keys;
  for (const std::string& name : dependencies(stage)) {
    keys[name] = finished_.at(name).key;
  }
  const StageIdentity identity = identify(pipeline_, stage, data_, keys);
  const auto folder_of = [&](const std::string& name) {
    return name.empty() ? std::nullopt : std::optional(finished_.at(name).folder);
  };
  RunSettings settings = options_.settings;
  settings.warn = [&](const std::string& text) {
    say(fmt::format("warning: stage.{}: {}", spelled_key(stage.name), text));
  };
  settings.note = [&](const std::string& text) { say(text); };
  const StageTask task{.pipeline = pipeline_,
                       .stage = stage,
                       .data = data_,
                       .parent = folder_of(stage.from),
                       .key = identity.key,
                       .store = store_,
                       .settings = settings,
                       .matched = folder_of(matched_stage(stage))};
  StageOutcome outcome{stage.name, identity.key, {}, false, {}};
  if (const auto folder = store_.find(identity.key)) {
    outcome.folder = *folder;
    outcome.reused = true;
  } else {
    StageWork work = store_.begin(identity.key, identity.description);
    outcome.reused = work.finished();
    if (!work.finished()) {
      link(stage.name, work.folder());
      compute(task, work);
    }
    outcome.folder = work.folder();
  }
  if (outcome.reused) {
    say(fmt::format("{}: already in the store, not run again", stage.name));
  }
  link(stage.name, outcome.folder);
  outcome.results = results_by_names_of(stage, outcome.folder);
  outcome.results.key = outcome.key;
  outcome.results.from = stage.from;
  add_audit(task, outcome);
  for (const std::string& text : metrics_not_finite(outcome.results)) {
    say(fmt::format("warning: stage.{}: {}", spelled_key(stage.name), text));
  }
  return outcome;
}

void Runner::add_audit(const StageTask& task, StageOutcome& outcome) {
  const std::optional<StageIdentity> audit = audit_identity(task.stage, outcome.key);
  if (!audit) {
    return;
  }
  std::optional<std::filesystem::path> folder = store_.find(audit->key);
  if (!folder) {
    StageWork work = store_.begin(audit->key, audit->description);
    if (!work.finished()) {
      say(
          fmt::format("{}: was trained without this audit; it is trained again for the audit's "
                      "figures, its weights and results stay as they are",
                      task.stage.name));
      compute_audit(task, outcome.folder, work);
    }
    folder = work.folder();
  }
  outcome.results.details["solves"]["audit"] = read_audit(*folder);
}

/// A plugin that is built again during a long run: the stages must not pass for the new one's.
void Runner::warn_about_replaced_plugins() {
  for (const LibraryIdentity& library : pipeline_.libraries()) {
    const std::string text = replacement_of(library);
    if (!text.empty() && warned_.insert(library.path).second) {
      say("warning: " + text);
    }
  }
}

RunOutcome Runner::run() {
  RunOutcome outcome;
  outcome.folder = run_.path();
  remove_leftovers();
  lock_ = lock_text(pipeline_, data_);
  run_.write_lock(lock_);
  for (const Stage& stage : pipeline_.stages) {
    outcome.stages.push_back(run_one(stage));
    warn_about_replaced_plugins();
    finished_[stage.name] = outcome.stages.back();
    write_results(outcome);
  }
  return outcome;
}

}  // namespace

FolderOrigin origin_of(const Pipeline& pipeline, const std::filesystem::path& out) {
  return {.kind = FolderOrigin::Kind::run,
          .out = out,
          .name = pipeline.name,
          .file = pipeline.file,
          .is_same = [&pipeline, out] {
            constexpr uint64_t limit = 1 << 24;
            DataCatalog data(pipeline);
            const auto lock = out / pipeline.name / "pipeline.lock.toml";
            return std::filesystem::exists(lock) &&
                   is_lock_of(read_whole(lock, limit), pipeline, data);
          }};
}

RunOutcome run_pipeline(const Pipeline& pipeline, const RunOptions& options) {
  claim_origin(origin_of(pipeline, options.out));
  return Runner(pipeline, options).run();
}

}  // namespace bissl::host
