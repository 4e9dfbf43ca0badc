#include "stages/runner.h"

#include "bissl/error.h"
#include "bissl/hash.h"
#include "pipeline/diagnostics.h"
#include "pipeline/lock.h"
#include "stages/stages.h"
#include "stages/work_record.h"
#include "store/atomic_file.h"
#include "store/json_file.h"
#include "store/posix_file.h"
#include "store/run_folder.h"
#include "store/run_origin.h"
#include "telemetry/environment.h"
#include "telemetry/interrupt.h"
#include "telemetry/peak_memory.h"
#include "text/exception_text.h"
#include "text/json_text.h"

#include <torch/version.h>

#include <map>
#include <set>

namespace bissl {
namespace {

constexpr const char* results_file = "results.json";

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
  void warn_about_replaced_plugins();
  void write_lock();
  void remove_leftovers();
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
  std::set<std::string> warned_;                  ///< of libraries, by path
  std::map<std::string, StageOutcome> finished_;  ///< by the stage's name
};

void Runner::write_lock() { run_.write_lock(lock_text(pipeline_, data_)); }

/// What an earlier version of the pipeline left must not pass for results of this one.
void Runner::remove_leftovers() {
  std::map<std::string, std::string> keys;
  for (const Stage& stage : pipeline_.stages) {
    const std::string parent = stage.from.empty() ? "" : keys.at(stage.from);
    keys[stage.name] = identify(pipeline_, stage, data_, parent).key;
  }
  run_.keep_only(keys);
}

void Runner::write_results(const RunOutcome& outcome) {
  nlohmann::json stages = nlohmann::json::object();
  for (const StageOutcome& stage : outcome.stages) {
    stages[stage.name] = stage.results;
    stages[stage.name]["key"] = stage.key;
  }
  run_.write_results(run_results(pipeline_, stages));
}

StageOutcome Runner::run_one(const Stage& stage) {
  const std::string parent_key = stage.from.empty() ? "" : finished_.at(stage.from).key;
  const StageIdentity identity = identify(pipeline_, stage, data_, parent_key);
  StageOutcome outcome{stage.name, identity.key, {}, false, {}};
  if (const auto folder = store_.find(identity.key)) {
    outcome.folder = *folder;
    outcome.reused = true;
  } else {
    StageWork work = store_.begin(identity.key, nlohmann::json::parse(identity.description));
    outcome.reused = work.finished();
    if (!work.finished()) {
      run_.link_stage(stage.name, work.folder());
      compute_stage({.pipeline = pipeline_,
                     .stage = stage,
                     .data = data_,
                     .parent = stage.from.empty() ? std::nullopt
                                                  : std::optional(finished_.at(stage.from).folder),
                     .settings = options_.settings},
                    work);
    }
    outcome.folder = work.folder();
  }
  if (outcome.reused) {
    say(fmt::format("{}: already in the store, not run again", stage.name));
  }
  run_.link_stage(stage.name, outcome.folder);
  outcome.results = read_stage_results(outcome.folder);
  outcome.results["from"] = stage.from;
  for (const std::string& text : metrics_not_finite(outcome.results)) {
    say(fmt::format("warning: stage.{}: {}", spelled_key(stage.name), text));
  }
  return outcome;
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
  write_lock();
  for (const Stage& stage : pipeline_.stages) {
    outcome.stages.push_back(run_one(stage));
    warn_about_replaced_plugins();
    finished_[stage.name] = outcome.stages.back();
    write_results(outcome);
  }
  return outcome;
}

}  // namespace

nlohmann::json run_stage(const StageContext& context) {
  try {
    if (context.stage.kind == "pretrain") {
      return run_pretrain(context);
    }
    if (context.stage.kind == "bissl") {
      return run_bissl(context);
    }
    return run_finetune(context);
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    throw at_stage(context, error);
  } catch (const std::exception& exception) {
    throw at_stage(context, as_error(exception));
  }
}

Error at_stage(const StageContext& context, const Error& error) {
  return error.at(
      fmt::format("stage.{} ({})", spelled_key(context.stage.name), context.stage.table.origin));
}

void compute_stage(const StageTask& task, StageWork& work) {
  const WorkRecord record(
      work.folder(), computing_environment(task.settings.device, task.settings.loader_threads));
  RunSettings settings = task.settings;
  settings.confirm = [&work] { work.confirm(); };
  settings.checkpointed = [&record] { record.save(); };
  const StageContext context{.pipeline = task.pipeline,
                             .stage = task.stage,
                             .data = task.data,
                             .folder = work.folder(),
                             .parent = task.parent,
                             .handed_on = nullptr,
                             .generation = generation_of(task.pipeline, task.stage),
                             .settings = settings};
  reset_peak_memory();
  nlohmann::json results = run_stage(context);
  results["kind"] = task.stage.kind;
  record.add_to(results);
  results["peak_memory_bytes"] = peak_memory();
  write_file_atomically(work.folder() / results_file, json_text(results, 2) + "\n");
  record.remove();
  work.publish();
}

Error as_error(const std::exception& exception) {
  return Error(
      ErrorKind::run,
      exception_text(exception) +
          (is_out_of_memory(exception) ? ". Choose a smaller batch or a smaller network" : ""));
}

std::vector<std::string> metrics_not_finite(const nlohmann::json& results) {
  std::vector<std::string> found;
  const nlohmann::json scored = results.value("metrics", nlohmann::json::object());
  for (const auto& [data, metrics] : scored.items()) {
    for (const auto& [metric, value] : metrics.items()) {
      if (value.contains(not_finite_key)) {
        found.push_back(fmt::format(
            "the {} on data.{} is not finite ({}), so its mean is left empty. The training may "
            "have diverged: try a smaller learning rate",
            metric, data, value[not_finite_key].value("mean", "")));
      }
    }
  }
  return found;
}

nlohmann::json read_stage_results(const std::filesystem::path& folder) {
  constexpr uint64_t limit = 1 << 24;
  return read_json_file(folder / results_file, limit);
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

nlohmann::json run_results(const Pipeline& pipeline, const nlohmann::json& stages) {
  return {{"pipeline", pipeline.name}, {"seed", pipeline.seed}, {"stages", stages}};
}

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
                   read_whole(lock, limit) == lock_text(pipeline, data);
          }};
}

RunOutcome run_pipeline(const Pipeline& pipeline, const RunOptions& options) {
  claim_origin(origin_of(pipeline, options.out));
  return Runner(pipeline, options).run();
}

StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                       const std::string& parent_key) {
  std::map<std::string, std::string> fingerprints;
  for (const std::string& name : data_names(stage)) {
    fingerprints[name] = data.fingerprint(name);
  }
  StageIdentity identity;
  identity.description = stage_description(pipeline, stage, fingerprints, parent_key);
  identity.key = hash_hex(identity.description);
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

}  // namespace bissl
