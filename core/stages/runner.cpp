#include "stages/runner.h"

#include "bissl/error.h"
#include "bissl/hash.h"
#include "pipeline/lock.h"
#include "stages/stages.h"
#include "store/atomic_file.h"
#include "store/posix_file.h"
#include "store/run_folder.h"

#include <torch/version.h>

#include <chrono>
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
        data_(pipeline),
        store_(store_folder(options.out), options.listener),
        run_(options.out, pipeline.name) {}

  RunOutcome run();

 private:
  StageOutcome run_one(const Stage& stage);
  void warn_about_replaced_plugins();
  void compute(const Stage& stage, StageWork& work);
  void write_lock();
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

void Runner::write_lock() {
  std::vector<std::pair<std::string, std::string>> notes = {{"torch", TORCH_VERSION}};
  for (const DataSource& source : pipeline_.data) {
    notes.emplace_back("fingerprint of data." + source.name,
                       data_.open(source.name)->fingerprint());
  }
  run_.write_lock(to_lock_toml(pipeline_, notes));
}

void Runner::write_results(const RunOutcome& outcome) {
  nlohmann::json stages = nlohmann::json::object();
  for (const StageOutcome& stage : outcome.stages) {
    stages[stage.name] = stage.results;
    stages[stage.name]["key"] = stage.key;
  }
  run_.write_results({{"pipeline", pipeline_.name}, {"seed", pipeline_.seed}, {"stages", stages}});
}

void Runner::compute(const Stage& stage, StageWork& work) {
  const bool has_parent = !stage.from.empty();
  const StageContext context{
      .pipeline = pipeline_,
      .stage = stage,
      .data = data_,
      .folder = work.folder(),
      .parent = has_parent ? std::optional(finished_.at(stage.from).folder) : std::nullopt,
      .generation = generation_of(pipeline_, stage),
      .settings = options_.settings};
  const auto begin = std::chrono::steady_clock::now();
  nlohmann::json results = run_stage(context);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  results["kind"] = stage.kind;
  results["seconds"] = seconds.count();
  write_file_atomically(work.folder() / results_file, results.dump(2) + "\n");
  work.publish();
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
      compute(stage, work);
    }
    outcome.folder = work.folder();
  }
  if (outcome.reused) {
    say(fmt::format("{}: already in the store, not run again", stage.name));
  }
  run_.link_stage(stage.name, outcome.folder);
  constexpr uint64_t limit = 1 << 24;
  outcome.results = nlohmann::json::parse(read_whole(outcome.folder / results_file, limit));
  outcome.results["from"] = stage.from;
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
  } catch (const Error& error) {
    throw error.at(fmt::format("stage.{} ({})", context.stage.name, context.stage.table.origin));
  }
}

RunOutcome run_pipeline(const Pipeline& pipeline, const RunOptions& options) {
  return Runner(pipeline, options).run();
}

StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                       const std::string& parent_key) {
  std::map<std::string, std::string> fingerprints;
  for (const std::string& name : data_names(stage)) {
    fingerprints[name] = data.open(name)->fingerprint();
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

std::filesystem::path store_folder(const std::filesystem::path& out) { return out / ".store"; }

}  // namespace bissl
