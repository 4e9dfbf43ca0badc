#include "track/runs.h"

#include "bissl/error.h"
#include "pipeline/run_names.h"
#include "store/stage_store.h"
#include "store/sweep_folder.h"
#include "store/sweep_plan.h"
#include "telemetry/events.h"

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> sorted_items(const fs::path& folder) {
  std::vector<fs::path> items;
  std::error_code ignored;
  for (fs::directory_iterator item(folder, ignored), end; item != end; item.increment(ignored)) {
    items.push_back(item->path());
  }
  std::sort(items.begin(), items.end());
  return items;
}

/// "repeat-10" behind "repeat-9".
bool natural_less(const std::string& one, const std::string& other) {
  return one.size() != other.size() ? one.size() < other.size() : one < other;
}

/// Adds the logs in a stage's folder, which may be gone at any moment.
void add_logs(const std::string& stage, const std::string& key, const fs::path& folder,
              std::vector<RunLog>& logs) {
  std::error_code ignored;
  const bool finished = fs::exists(folder / stage_results_file, ignored) &&
                        !folder.filename().string().ends_with(".partial");
  if (fs::exists(folder / event_log_file, ignored)) {
    logs.push_back({stage, "", key, finished, folder / event_log_file});
  }
  std::vector<RunLog> parts;
  for (const fs::path& item : sorted_items(folder)) {
    if (fs::is_directory(item, ignored) && fs::exists(item / event_log_file, ignored)) {
      parts.push_back({stage, item.filename().string(), key, finished, item / event_log_file});
    }
  }
  std::sort(parts.begin(), parts.end(), [](const RunLog& one, const RunLog& other) {
    return natural_less(one.part, other.part);
  });
  logs.insert(logs.end(), parts.begin(), parts.end());
}

/// The logs behind the links of a run's folder, parents before children where that is known.
std::vector<RunLog> logs_of_run(const fs::path& folder, const std::optional<RunResults>& results) {
  struct Link {
    std::string stage;
    std::string key;
    fs::path folder;
    size_t depth;
  };
  std::vector<Link> links;
  for (const fs::path& item : sorted_items(folder)) {
    std::error_code error;
    if (!fs::is_symlink(item, error)) {
      continue;
    }
    const std::string target = fs::read_symlink(item, error).filename().string();
    const std::string key = target.substr(0, target.find('.'));
    if (error || !is_stage_key(key)) {
      continue;
    }
    const std::string stage = item.filename().string();
    // A stage without results is the last.
    const bool known = results && results->stages.count(stage) > 0;
    const size_t depth = known ? results->chain_of(stage).size() : SIZE_MAX;
    const fs::path there = fs::canonical(item, error);
    links.push_back({stage, key, error ? item : there, depth});
  }
  std::stable_sort(links.begin(), links.end(),
                   [](const Link& one, const Link& other) { return one.depth < other.depth; });
  std::vector<RunLog> logs;
  for (const Link& link : links) {
    add_logs(link.stage, link.key, link.folder, logs);
  }
  return logs;
}

bool is_run(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / run_lock_file, ignored) ||
         fs::exists(folder / run_results_file, ignored);
}

bool is_sweep(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / plan_file, ignored);
}

/// The labels of all axes but the seed's.
std::string setting_of(const SweepPlan& plan, const PlanCell& cell) {
  std::string text;
  for (size_t i = 0; i < plan.axes.size() && i < cell.choices.size(); ++i) {
    const SweepPlan::AxisText& axis = plan.axes[i];
    if (!axis.is_seed) {
      text += (text.empty() ? "" : ",") + axis.name + "=" + axis.labels.at(cell.choices[i]);
    }
  }
  return text;
}

class Finder {
 public:
  void add(const fs::path& folder, const std::string& name) {
    if (is_sweep(folder)) {
      add_sweep(folder, name);
    } else if (is_run(folder)) {
      add_run(folder, name);
    }
  }
  std::vector<TrackedRun> runs;

 private:
  void add_run(const fs::path& folder, const std::string& name) {
    TrackedRun run{.name = name, .folder = folder, .logs = {}};
    run.results = run_results_if_there(folder);
    run.logs = logs_of_run(folder, run.results);
    put(std::move(run));
  }

  void add_sweep(const fs::path& folder, const std::string& name) {
    const SweepPlan plan = load_plan(folder);
    const SweepFolder files(plan, folder);
    const fs::path store = store_folder(folder.parent_path());
    for (const PlanCell& cell : plan.cells) {
      TrackedRun run{.name = name + "/" + cell.id,
                     .folder = files.cell_folder(cell),
                     .sweep = folder,
                     .axes = plan.labels(cell),
                     .setting = setting_of(plan, cell),
                     .logs = {}};
      run.results = files.results(cell);
      if (run.results) {
        run.logs = logs_of_run(run.folder, run.results);
      } else if (cell.unit) {
        for (const auto& [stage, key] : plan.units.at(*cell.unit).stages) {
          std::error_code ignored;
          const fs::path finished = store / key;
          add_logs(stage, key,
                   fs::exists(finished, ignored) ? finished : store / (key + ".partial"), run.logs);
        }
      }
      put(std::move(run));
    }
  }

  void put(TrackedRun run) {
    std::string name = run.name;
    for (int number = 2; !names_.insert(name).second; ++number) {
      name = run.name + " (" + std::to_string(number) + ")";
    }
    run.name = name;
    runs.push_back(std::move(run));
  }

  std::set<std::string> names_;
};

/// Without "." and "..", and without a slash at its end.
fs::path plain(const fs::path& folder) {
  const fs::path whole = fs::absolute(folder).lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();
}

}  // namespace

std::vector<TrackedRun> find_runs(const std::vector<fs::path>& folders) {
  Finder finder;
  for (const fs::path& given : folders) {
    const fs::path folder = plain(given);
    std::error_code ignored;
    if (!fs::is_directory(folder, ignored)) {
      fail_input("{}: there is no such folder; expected one of a run, of a sweep, or of several",
                 folder.string());
    }
    const size_t before = finder.runs.size();
    if (is_run(folder) || is_sweep(folder)) {
      finder.add(folder, folder.filename().string());
      continue;
    }
    for (const fs::path& item : sorted_items(folder)) {
      if (fs::is_directory(item, ignored) && !item.filename().string().starts_with(".")) {
        finder.add(item, item.filename().string());
      }
    }
    if (finder.runs.size() == before) {
      fail_input(
          "{} has no runs: a run's folder has pipeline.lock.toml or results.json, a sweep's "
          "plan.json",
          folder.string());
    }
  }
  return finder.runs;
}

}  // namespace bissl::host
