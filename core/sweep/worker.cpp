#include "sweep/worker.h"

#include "base/exception_text.h"
#include "bissl/error.h"
#include "stages/compute.h"
#include "stages/follow.h"
#include "stages/identity.h"
#include "store/stage_results.h"
#include "sweep/worker_group.h"
#include "telemetry/interrupt.h"
#include "telemetry/limits.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

namespace bissl::host {
namespace {

/// A stage of the plan, as this process reads it.
struct PlannedStage {
  PlannedStage(const PlanUnit& unit, const std::string& name, const PipelineSources& sources,
               const std::shared_ptr<DatasetCache>& datasets)
      : pipeline(read_unit(unit, sources)),
        data(pipeline, datasets),
        stage(pipeline.stage(name)),
        identity(identify(pipeline, stage, data, {unit.stages.begin(), unit.stages.end()})) {}

  const Pipeline pipeline;
  DataCatalog data;
  const Stage& stage;
  const StageIdentity identity;
};

class Worker {
 public:
  Worker(SweepState& state, StageStore& store, const PipelineSources& sources,
         const WorkerOptions& options)
      : state_(state),
        plan_(state.plan()),
        store_(store),
        sources_(sources),
        options_(options),
        group_(options.place),
        datasets_(std::make_shared<DatasetCache>()) {}

  void run();
  /// Ends the other processes of the worker's group.
  void end(bool interrupted) { group_.end(interrupted); }

 private:
  enum class Step { nothing_left, waiting, worked };

  Step step();
  bool try_node(const PlanNode& node);
  std::unique_ptr<PlannedStage> read(const PlanNode& node);
  bool begin(const PlanNode& node, StageWork& work);
  bool is_ready(const PlanNode& node);
  void compute(const PlanNode& node, const StageTask& task, StageWork& work);
  void fail(const PlanNode& node, const std::string& cause, bool input);
  void fail_by_exception(const PlanNode& node);
  void fail_in_group(const PlanNode& node);
  void write_finished_cells();
  void write_finished_cells(const std::string& key);
  void write_if_finished(const PlanCell& cell);
  const std::vector<const PlanCell*>& cells_of(const std::string& key);
  std::string user_of(const PlanNode& node) const { return plan_.user_of(node.key); }
  bool plan_was_replaced();
  void say(const std::string& text) const {
    if (options_.say) {
      options_.say(text);
    }
  }

  SweepState& state_;
  const SweepPlan& plan_;
  StageStore& store_;
  const PipelineSources& sources_;
  const WorkerOptions& options_;
  WorkerGroup group_;
  std::shared_ptr<DatasetCache> datasets_;
  /// Those that may use a stage, by its key: of a search also what depends on the draw. Empty until
  /// it is asked for.
  std::map<std::string, std::vector<const PlanCell*>> cells_of_;
  std::string worked_on_;           ///< the key of the stage of the last step
  bool has_looked_at_all_ = false;  ///< for cells to be written
  std::optional<std::filesystem::file_time_type> plan_time_;  ///< of the plan last compared
  bool replaced_ = false;
};

/// Whether the stage may be computed: the attempts at it before did not all vanish.
bool Worker::begin(const PlanNode& node, StageWork& work) {
  const int64_t before = state_.attempts().begin(node.key, work.folder());
  if (before < options_.attempts) {
    return true;
  }
  const std::string end = state_.attempts().last_end(node.key);
  fail(node,
       fmt::format("it was begun {} times, and each time the process that computed it ended "
                   "without an error of its own before it got any further; {}",
                   before,
                   end.empty() ? "how the last one ended is not known: see its log in the sweep's "
                                 "folder logs, and the system's or Slurm's records"
                               : "the last one " + end),
       false);
  return false;
}

void Worker::fail(const PlanNode& node, const std::string& text, bool input) {
  const std::string cause = text.empty() ? "an exception without a text" : text;
  say(fmt::format("{} of {}: failed: {}", node.stage, user_of(node), cause));
  state_.stages().record_failure({.key = node.key,
                                  .stage = node.stage,
                                  .cell = plan_.cell_of(node.key),
                                  .cause = cause,
                                  .input = input});
  state_.attempts().end(node.key);
}

/// Records the exception in flight as the stage's failure; an interruption is none, and is thrown
/// on. To be called in a catch block.
void Worker::fail_by_exception(const PlanNode& node) {
  try {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    fail(node, exception_text(error), error.kind() == ErrorKind::input);
  } catch (const std::exception& exception) {
    fail(node, explain_limits(exception), false);
  } catch (...) {
    fail(node, current_exception_text(), false);
  }
}

/// The same where the processes of a group have computed the stage. One that was lost is no failure
/// of the stage, whose next attempt continues from the last checkpoint.
void Worker::fail_in_group(const PlanNode& node) {
  const WorkerGroup::Failure failure = group_.ended_by(std::current_exception());
  if (failure.interrupted) {
    state_.attempts().end(node.key);
    throw Interrupted();
  }
  if (failure.loss.empty()) {
    fail_by_exception(node);
    return;
  }
  say(fmt::format("{} of {}: {}", node.stage, user_of(node), failure.loss));
  state_.attempts().note_end(getpid(),
                             "lost one of the processes that it had started: " + failure.loss);
}

/// The stage, if it is still the one of the plan; else null, and it has failed.
std::unique_ptr<PlannedStage> Worker::read(const PlanNode& node) {
  try {
    auto planned =
        std::make_unique<PlannedStage>(plan_.units[node.unit], node.stage, sources_, datasets_);
    if (planned->identity.key == node.key) {
      return planned;
    }
    fail(
        node,
        "its key differs from the plan's: the data, a plugin or the program has changed. Start the "
        "sweep again",
        true);
  } catch (...) {
    fail_by_exception(node);
  }
  return nullptr;
}

/// Whether anything was done about the stage.
bool Worker::try_node(const PlanNode& node) {
  if (!is_ready(node)) {
    return false;
  }
  const std::unique_ptr<PlannedStage> planned = read(node);
  if (!planned) {
    return true;
  }
  std::map<std::string, std::filesystem::path> folders;
  for (const std::string& key : needed_by(node)) {
    const std::optional<std::filesystem::path> folder = store_.find(key);
    if (!folder) {
      // It is damaged, and has to be computed again first.
      state_.stages().forget_done(key);
      return !store_.contains(key);
    }
    folders[key] = *folder;
  }
  const auto folder_of = [&](const std::string& key) {
    return key.empty() ? std::nullopt : std::optional(folders.at(key));
  };
  std::optional<StageWork> work = store_.try_begin(node.key, planned->identity.description);
  if (!work) {
    return false;
  }
  // Somebody may have finished it, or failed at it, since it was looked at.
  if (!work->finished() && !state_.stages().failure(node.key) && begin(node, *work)) {
    RunSettings settings = options_.settings;
    settings.warn = [&](const std::string& text) {
      say(fmt::format("{} of {}: warning: {}", node.stage, user_of(node), text));
    };
    compute(node,
            {.pipeline = planned->pipeline,
             .stage = planned->stage,
             .data = planned->data,
             .parent = folder_of(node.parent),
             .key = node.key,
             .store = store_,
             .settings = settings,
             .matched = folder_of(node.matched)},
            *work);
  }
  return true;
}

void Worker::compute(const PlanNode& node, const StageTask& task, StageWork& work) {
  say(fmt::format("{} of {}: begins", node.stage, user_of(node)));
  try {
    group_.gather();
    compute_stage(task, work);
    say(fmt::format("{} of {}: done", node.stage, user_of(node)));
    for (const std::string& text : metrics_not_finite(read_stage_results(work.folder()))) {
      say(fmt::format("warning: {} of {}: {}", node.stage, user_of(node), text));
    }
    state_.attempts().end(node.key);
  } catch (const Interrupted&) {
    state_.attempts().end(node.key);
    throw;
  } catch (...) {
    fail_in_group(node);
  }
}

bool Worker::is_ready(const PlanNode& node) {
  const WorkState state = state_.stages().state(node.key);
  const std::vector<std::string> needs = needed_by(node);
  return (state == WorkState::waiting || state == WorkState::stale) &&
         std::all_of(needs.begin(), needs.end(), [&](const std::string& key) {
           return state_.stages().state(key) == WorkState::done;
         });
}

/// Whether the sweep's folder has another plan by now: what this one gives must not take the place
/// of that one's results.
bool Worker::plan_was_replaced() {
  const std::filesystem::path file = state_.folder() / plan_file;
  std::error_code error;
  const auto time = std::filesystem::last_write_time(file, error);
  if (!replaced_ && !error && plan_time_ != time) {
    plan_time_ = time;
    replaced_ = load_plan(state_.folder()).to_json() != plan_.to_json();
  }
  return replaced_;
}

void Worker::write_if_finished(const PlanCell& cell) {
  if (!state_.is_written(cell) && state_.is_done(cell)) {
    state_.write_cell(cell);
  }
}

void Worker::write_finished_cells() {
  if (plan_was_replaced()) {
    return;
  }
  for (const PlanCell& cell : plan_.cells) {
    write_if_finished(cell);
  }
}

/// Those that a stage may have finished, the first time all: to look at all after each stage would
/// take the square of their number. What other workers finish is written by these, or at the end.
void Worker::write_finished_cells(const std::string& key) {
  if (!std::exchange(has_looked_at_all_, true)) {
    write_finished_cells();
    return;
  }
  if (plan_was_replaced()) {
    return;
  }
  for (const PlanCell* cell : cells_of(key)) {
    write_if_finished(*cell);
  }
}

const std::vector<const PlanCell*>& Worker::cells_of(const std::string& key) {
  if (cells_of_.empty()) {
    for (const PlanCell& cell : plan_.cells) {
      std::set<size_t> units(cell.trials.begin(), cell.trials.end());
      units.insert(cell.finals.begin(), cell.finals.end());
      if (cell.unit) {
        units.insert(*cell.unit);
      }
      std::set<std::string> keys;
      for (const size_t unit : units) {
        for (const auto& [stage, used] : plan_.units[unit].stages) {
          keys.insert(used);
        }
      }
      for (const std::string& used : keys) {
        cells_of_[used].push_back(&cell);
      }
    }
  }
  return cells_of_[key];
}

Worker::Step Worker::step() {
  bool left = false;
  for (const PlanNode* node : state_.wanted()) {
    const bool settled = state_.stages().state(node->key) == WorkState::done ||
                         state_.stages().failure_above(node->key).has_value();
    left = left || !settled;
    if (!settled && try_node(*node)) {
      worked_on_ = node->key;
      return Step::worked;
    }
    if (interrupted()) {
      throw Interrupted();
    }
  }
  return left ? Step::waiting : Step::nothing_left;
}

void Worker::run() {
  for (;;) {
    if (plan_was_replaced()) {
      say("the sweep's folder has another plan since: this worker stops");
      return;
    }
    if (options_.stop_on_failure && !state_.stages().failures().empty()) {
      return;
    }
    const auto begin = std::chrono::steady_clock::now();
    const Step step = this->step();
    const auto looked = std::chrono::steady_clock::now() - begin;
    if (step == Step::worked) {
      write_finished_cells(worked_on_);
    } else if (step == Step::waiting) {
      if (options_.while_waiting) {
        options_.while_waiting();
      }
      std::this_thread::sleep_for(pause_after(looked));
    } else {
      write_finished_cells();
      // Writing a cell reads its stages: one that is damaged is to be done again.
      if (this->step() == Step::nothing_left) {
        return;
      }
    }
  }
}

}  // namespace

void work_on(SweepState& state, StageStore& store, const PipelineSources& sources,
             const WorkerOptions& options) {
  Worker worker(state, store, sources, options);
  try {
    worker.run();
  } catch (const Interrupted&) {
    worker.end(/*interrupted=*/true);
    throw;
  }
  worker.end(/*interrupted=*/false);
}

void work_beside(const SweepPlan& plan, const PipelineSources& sources, const RunSettings& settings,
                 const std::filesystem::path& scratch) {
  const auto datasets = std::make_shared<DatasetCache>();
  std::unique_ptr<PlannedStage> planned;
  const auto find = [&](const std::string& /*name*/, const std::string& key) {
    const PlanNode& node = plan.node(key);
    planned = std::make_unique<PlannedStage>(plan.units[node.unit], node.stage, sources, datasets);
    return FollowedStage{planned->pipeline, planned->stage, planned->data};
  };
  follow(find, settings, scratch);
}

}  // namespace bissl::host
