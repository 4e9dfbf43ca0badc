#include "cli/sweep_command.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "cli/run_command.h"
#include "cli/run_settings.h"
#include "cli/sweep_cell.h"
#include "cli/sweep_text.h"
#include "cli/sweep_workers.h"
#include "data/selection.h"
#include "stages/runner.h"
#include "stages/stage_kind.h"
#include "store/run_origin.h"
#include "sweep/coordinator.h"
#include "sweep/estimate.h"
#include "sweep/slurm.h"
#include "sweep/worker.h"
#include "telemetry/interrupt.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <set>
#include <thread>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// One call of `bissl sweep`.
class SweepCommand {
 public:
  SweepCommand(const PipelineArguments& arguments, const SweepArguments& sweep,
               PluginSearch& plugins, std::ostream& out, std::ostream& err)
      : arguments_(arguments),
        sweep_(sweep),
        selection_(selection_spec()),
        components_(plugins),
        sources_{components_, stage_kinds(), selection_},
        out_(out),
        err_(err) {}

  int run();

 private:
  int work();
  bool make();
  FolderOrigin origin() const;
  bool is_edited_copy() const;
  bool has_this_plan() const;
  int print_pipeline();
  int print_status(SweepState& state);
  int print_cells(SweepState& state, bool done);
  SlurmJob slurm_job() const;
  int threads_per_job() const;
  bool check(SweepState& state);
  int print_plan(SweepState& state);
  std::optional<Claim> begin(SweepState& state);
  int finish(SweepState& state);
  void compute(SweepState& state);
  int submit(SweepState& state);
  StoreListener listener() const {
    return {.warn = [this](const std::string& text) { err_ << text << std::endl; },
            .waiting = {},
            .while_waiting = {}};
  }

  const PipelineArguments& arguments_;
  const SweepArguments& sweep_;
  TableSpec selection_;
  RegistrySource components_;
  PipelineSources sources_;
  std::ostream& out_;
  std::ostream& err_;
  std::shared_ptr<DatasetCache> datasets_ = arguments_.make_datasets();
  PlanResult planned_;
  fs::path folder_;
};

/// A worker process: everything it has to know is in the sweep's folder.
int SweepCommand::work() {
  const ProcessPlace place = place_in_group(arguments_.ranks);
  const RunSettings settings = make_settings(arguments_of_process(arguments_, place), nullptr);
  const SweepPlan plan = load_plan(sweep_.worker);
  if (place.meeting.rank > 0) {
    const auto work = [&](const fs::path& scratch) {
      work_beside(plan, sources_, settings, scratch);
    };
    return work_in_group(place, work, err_);
  }
  install_interrupt_handlers();
  StageStore store(store_folder(arguments_.out), listener());
  SweepState state(plan, store, sweep_.worker);
  const auto say = [this](const std::string& text) { err_ << text << std::endl; };
  const WorkerOptions options{.settings = settings,
                              .attempts = sweep_.attempts,
                              .stop_on_failure = sweep_.stop_on_failure,
                              .say = say,
                              .while_waiting = {},
                              .place = place};
  work_on(state, store, sources_, options);
  return exit_done;
}

/// Reads the file and all cells; what is wrong is printed.
bool SweepCommand::make() {
  planned_ =
      make_plan(arguments_.file, {arguments_.overrides, arguments_.unset}, sources_, datasets_);
  for (const LoadProblem& problem : components_.late_problems()) {
    err_ << "warning: " << problem.message() << '\n';
  }
  print_diagnostics(planned_.diagnostics, !planned_.plan, arguments_.json, out_, err_);
  if (!planned_.plan) {
    return false;
  }
  folder_ = arguments_.out / planned_.plan->name;
  check_origin(origin());
  return true;
}

FolderOrigin SweepCommand::origin() const {
  return {.kind = FolderOrigin::Kind::sweep,
          .out = arguments_.out,
          .name = planned_.plan->name,
          .file = arguments_.file,
          .is_same = [this] { return is_edited_copy(); },
          .takes_over = true};
}

/// Whether the sweep's folder is that of an ablation which varies the same keys of a pipeline of
/// the same name: of a copy of this file, whatever its values.
bool SweepCommand::is_edited_copy() const {
  const auto varied = [](const SweepPlan& plan) {
    std::set<std::string> keys;
    for (const SweepPlan::AxisText& axis : plan.axes) {
      keys.insert(axis.keys.begin(), axis.keys.end());
    }
    if (!plan.draws.empty()) {
      for (const auto& [key, value] : plan.draws.front().items()) {
        keys.insert(key);
      }
    }
    // The first line of a lock is the pipeline's name.
    keys.insert(plan.units.front().lock.substr(0, plan.units.front().lock.find('\n')));
    return keys;
  };
  try {
    return !fs::exists(folder_ / plan_file) || varied(load_plan(folder_)) == varied(*planned_.plan);
  } catch (const Error&) {
    return false;  // of another version of the program, or damaged
  }
}

/// Whether the sweep's folder holds the plan of this call.
bool SweepCommand::has_this_plan() const {
  try {
    return fs::exists(folder_ / plan_file) &&
           load_plan(folder_).to_json() == planned_.plan->to_json();
  } catch (const Error&) {
    return false;  // of another version of the program, or damaged
  }
}

int SweepCommand::threads_per_job() const {
  return std::max(1, set_threads(arguments_.threads) / std::max(1, sweep_.jobs));
}

/// Passes two samples through everything that is still to be run.
bool SweepCommand::check(SweepState& state) {
  const SweepEstimate estimate =
      try_sweep(state, planned_, make_settings(arguments_, nullptr), datasets_,
                /*measure=*/false, sweep_.jobs);
  for (const std::string& warning : estimate.warnings) {
    err_ << "warning: " << warning << '\n';
  }
  for (const std::string& error : estimate.errors) {
    err_ << "error: " << error << '\n';
  }
  if (arguments_.json && !estimate.errors.empty()) {
    out_ << json_text({{"ok", false}, {"errors", estimate.errors}}, 2) << '\n';
  }
  return estimate.errors.empty();
}

int SweepCommand::print_plan(SweepState& state) {
  RunSettings settings = make_settings(arguments_, nullptr);
  set_threads(threads_per_job());
  const SweepEstimate estimate = try_sweep(state, planned_, settings, datasets_,
                                           /*measure=*/true, sweep_.jobs);
  for (const std::string& warning : estimate.warnings) {
    err_ << "warning: " << warning << '\n';
  }
  for (const std::string& error : estimate.errors) {
    err_ << "error: " << error << '\n';
  }
  if (arguments_.json) {
    out_ << json_text(plan_json(state, estimate, sweep_.jobs), 2) << '\n';
  } else {
    out_ << plan_text(state, estimate, sweep_.jobs);
  }
  return estimate.errors.empty() ? exit_done : exit_wrong_input;
}

/// Takes the sweep, or joins the process that runs it with the same plan.
std::optional<Claim> SweepCommand::begin(SweepState& state) {
  make_folder(folder_);
  const fs::path lock = folder_ / "sweep.lock";
  const fs::path file = folder_ / plan_file;
  const std::string plan = json_text(planned_.plan->to_json());
  ClaimWatch watch;
  // Whoever has just taken the sweep may not have written its plan yet.
  for (int look = 0; look < 20; ++look) {
    if (std::optional<Claim> claim = Claim::try_take(lock, watch, {})) {
      const std::optional<std::string> other = check_origin(origin());
      claim_origin(origin());
      write_file_atomically(file, plan);
      state.remove_stale_cells(/*foreign=*/other.has_value());
      if (other) {
        err_ << fmt::format(
            "warning: {} was the folder of {}, which varies the same keys: {} takes its place, and "
            "results that are not of its plan are removed (their stages stay in the store). To "
            "keep both, give one another name\n",
            folder_.string(), *other, arguments_.file.string());
      }
      state.forget_failures();
      return claim;
    }
    if (has_this_plan()) {
      err_ << fmt::format("{} runs this sweep already: helping it\n", claim_owner(lock, {}));
      return std::nullopt;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  fail_input("{} runs the sweep {} with another plan. Wait for it, or give this one another name",
             claim_owner(lock, {}), folder_.string());
}

void SweepCommand::compute(SweepState& state) {
  coordinate(state, {.jobs = sweep_.jobs,
                     .stop_on_failure = sweep_.stop_on_failure,
                     .worker = worker_command(arguments_, sweep_, folder_, threads_per_job()),
                     .say = [this](const std::string& text) { err_ << text << std::endl; }});
}

SlurmJob SweepCommand::slurm_job() const {
  // Of each: tasks are on nodes of their own.
  const int threads = std::max({1, arguments_.ranks, arguments_.threads});
  return {.name = planned_.plan->name,
          .tasks = sweep_.jobs,
          .threads = threads,
          .options = sweep_.slurm_options,
          .worker = worker_command(arguments_, sweep_, folder_, threads)};
}

int SweepCommand::submit(SweepState& state) {
  { const std::optional<Claim> claim = begin(state); }
  if (arguments_.threads == 0) {
    err_ << fmt::format("warning: each {} gets one thread; --threads N gives more\n",
                        arguments_.ranks > 1 ? "process of a worker" : "worker");
  }
  const SubmittedJob job = submit_slurm(slurm_job(), fs::absolute(folder_));
  if (!job.words.empty()) {
    err_ << "sbatch says: " << job.words << '\n';
  }
  if (arguments_.json) {
    out_ << json_text({{"folder", folder_.string()}, {"job", job.number}}, 2) << '\n';
  } else {
    out_ << fmt::format(
        "submitted job {} with {} workers; `squeue --job {}` shows them, `bissl sweep {} --status` "
        "the cells\n",
        job.number, sweep_.jobs, job.number, arguments_.file.string());
  }
  return exit_done;
}

/// Prints the pipeline of one cell. Looks at nothing but the plan, and writes nothing.
int SweepCommand::print_pipeline() {
  const PlanUnit& unit = named_unit(*planned_.plan, sweep_, arguments_.file);
  if (arguments_.json) {
    out_ << json_text({{"cell", sweep_.cell}, {"pipeline", unit.lock}}, 2) << '\n';
  } else {
    out_ << unit.lock;
  }
  return exit_done;
}

/// Prints all cells.
int SweepCommand::print_cells(SweepState& state, bool done) {
  if (arguments_.json) {
    out_ << json_text(cells_json(state), 2) << '\n';
  } else {
    out_ << cells_text(state);
  }
  return done ? exit_done : exit_run_failed;
}

/// Writes what is left to write of cells that are done, and prints them all.
int SweepCommand::finish(SweepState& state) {
  bool done = true;
  for (const PlanCell& cell : planned_.plan->cells) {
    const bool finished = state.is_done(cell) && state.write_cell(cell);
    done = done && finished;
  }
  return print_cells(state, done);
}

/// Only a folder with this very plan is written into: of another one, `bissl report` shows the
/// results until this one is run.
int SweepCommand::print_status(SweepState& state) {
  if (has_this_plan()) {
    finish(state);
    return exit_done;
  }
  if (fs::exists(folder_ / plan_file)) {
    err_ << fmt::format(
        "warning: {} holds another plan than {} gives now; `bissl report` shows that one until the "
        "sweep is run again\n",
        folder_.string(), arguments_.file.string());
  }
  return print_cells(state, true);
}

int SweepCommand::run() {
  checked_device(arguments_.device);  // before anything is read
  if (!sweep_.worker.empty()) {
    return work();
  }
  place_in_group(arguments_.ranks);  // refuses what workers cannot be called with
  if (!make()) {
    return exit_wrong_input;
  }
  if (!sweep_.cell.empty()) {
    return print_pipeline();
  }
  StageStore store(store_folder(arguments_.out), listener());
  SweepState state(*planned_.plan, store, folder_);
  if (sweep_.status) {
    return print_status(state);
  }
  if (sweep_.slurm) {
    slurm_script(slurm_job(), fs::absolute(folder_));  // refuses what Slurm cannot be given
  }
  if (sweep_.plan) {
    return print_plan(state);
  }
  if (!check(state)) {
    return exit_wrong_input;
  }
  if (sweep_.check) {
    if (arguments_.json) {
      out_ << json_text({{"ok", true}, {"cells", planned_.plan->cells.size()}}, 2) << '\n';
    } else {
      out_ << summary_text(state);
    }
    return exit_done;
  }
  install_interrupt_handlers();
  if (sweep_.slurm) {
    return submit(state);
  }
  warn_about_threads(arguments_.threads, sweep_.jobs, err_);
  const std::optional<Claim> claim = begin(state);
  // A stage that is found damaged when its cell is written is computed again.
  for (int round = 0; round < 3; ++round) {
    const std::vector<const PlanNode*> wanted = state.wanted();
    const bool all_done = std::all_of(wanted.begin(), wanted.end(), [&](const PlanNode* node) {
      return state.stages().state(node->key) == WorkState::done;
    });
    bool written = all_done;
    for (const PlanCell& cell : planned_.plan->cells) {
      written = written && state.is_done(cell) && state.write_cell(cell);
    }
    if (written || (round > 0 && !state.stages().failures().empty())) {
      break;
    }
    compute(state);
  }
  return finish(state);
}

}  // namespace

int run_sweep(const PipelineArguments& arguments, const SweepArguments& sweep,
              PluginSearch& plugins, std::ostream& out, std::ostream& err) {
  return SweepCommand(arguments, sweep, plugins, out, err).run();
}

}  // namespace bissl::host
