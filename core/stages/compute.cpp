#include "stages/compute.h"

#include "base/atomic_file.h"
#include "base/exception_text.h"
#include "base/posix_file.h"
#include "base/spelling.h"
#include "bissl/data_files.h"
#include "data/planned_views.h"
#include "distributed/process_group.h"
#include "models/memory_format.h"
#include "pipeline/diagnostics.h"
#include "stages/audit_artefact.h"
#include "stages/batch_statistics.h"
#include "stages/follow.h"
#include "stages/identity.h"
#include "stages/match.h"
#include "stages/precision.h"
#include "stages/source_names.h"
#include "stages/stage_kind.h"
#include "stages/thread_choice.h"
#include "stages/work_record.h"
#include "telemetry/environment.h"
#include "telemetry/interrupt.h"
#include "telemetry/peak_memory.h"

#include <fmt/ranges.h>
#include <malloc.h>

#include <chrono>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// The keys of a table, and of those in it, that say how many samples are in memory at once, with
/// their values: "lower.batch = 256".
void add_sizes(const Table& table, const std::string& path, std::vector<std::string>& sizes) {
  for (const auto& [name, value] : table.values) {
    const bool counts = name == "batch" || name == "hessian_batch" || name == "hessian_batches";
    if (counts && value != Value(int64_t{0})) {  // 0 means: as another key says
      sizes.push_back(fmt::format("{}{} = {}", path, name, to_toml(value)));
    }
  }
  for (const auto& [name, inner] : table.tables) {
    add_sizes(inner, path + name + ".", sizes);
  }
  for (const auto& [name, items] : table.lists) {
    for (size_t i = 0; i < items.size(); ++i) {
      add_sizes(items[i], fmt::format("{}{}.{}.", path, name, i), sizes);
    }
  }
}

/// What to lower where memory was not enough; empty for other errors.
std::string sizes_to_lower(const StageContext& context, const Error& error) {
  std::vector<std::string> sizes;
  if (is_out_of_memory(error)) {
    add_sizes(context.stage.table, "", sizes);
  }
  return sizes.empty() ? "" : fmt::format(". Sizes of the stage: {}", fmt::join(sizes, ", "));
}

}  // namespace

StageContext new_context(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                         fs::path folder, const RunSettings& settings) {
  return {.pipeline = pipeline,
          .stage = stage,
          .data = data,
          .folder = std::move(folder),
          .parent = std::nullopt,
          .handed_on = nullptr,
          .generation = generation_of(pipeline, stage),
          .settings = settings};
}

StageResults run_stage(const StageContext& context) {
  try {
    const StagePrecision precision(context);
    const StageBatchStatistics statistics(context);
    return stage_kind(context.stage.kind).run(context);
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    throw at_stage(context, error);
  } catch (const std::exception& exception) {
    throw at_stage(context, as_error(exception));
  }
}

Error at_stage(const StageContext& context, const Error& error) {
  return Error(error.kind(), error.what() + sizes_to_lower(context, error))
      .at(fmt::format("stage.{} ({})", spelled_key(context.stage.name),
                      context.stage.table.origin));
}

Error as_error(const std::exception& exception) {
  return Error(
      ErrorKind::run,
      exception_text(exception) +
          (is_out_of_memory(exception) ? ". Choose a smaller batch or a smaller network" : ""));
}

namespace {

/// How long a stage with `match` is, and what its results say of that.
struct MatchedLength {
  std::optional<double> budget;
  nlohmann::json record;
};

MatchedLength matched_length(const StageTask& task) {
  const std::optional<MatchOptions> match = parse_match(task.stage.table);
  if (!match) {
    return {};
  }
  if (!task.matched) {
    fail_run("stage \"{}\" was begun before the stage that it is as long as", task.stage.name);
  }
  const TrainingCost matched = cost_of(read_stage_results(*task.matched));
  const TrainingCost parent =
      task.parent ? cost_of(read_stage_results(*task.parent)) : TrainingCost{};
  const double budget = matched_budget(*match, matched, parent);
  return {budget, match_record(*match, matched, parent, budget)};
}

/// Where the stages are that the task's stage reads beside its parent.
std::map<std::string, fs::path> compared_folders(const StageTask& task) {
  std::map<std::string, fs::path> folders;
  for (const std::string& name : compared_stages(task.stage)) {
    const std::string key = identify(task.pipeline, task.pipeline.stage(name), task.data).key;
    const std::optional<fs::path> found = task.store.find(key);
    if (!found) {
      fail_run(
          "stage.{} ({}): stage.{}, with which it compares, is not in the store (any more): "
          "run the pipeline again",
          spelled_key(task.stage.name), task.stage.table.origin, spelled_key(name));
    }
    folders[name] = *found;
  }
  return folders;
}

StageContext context_of(const StageTask& task, const StageWork& work, const RunSettings& settings) {
  StageContext context = new_context(task.pipeline, task.stage, task.data, work.folder(), settings);
  context.parent = task.parent;
  context.budget = matched_length(task).budget;
  context.compared = compared_folders(task);
  return context;
}

/// Runs the stage in the folder of the work. The record is saved with each checkpoint.
StageResults run_in(const StageTask& task, const StageWork& work, const WorkRecord& record) {
  RunSettings settings = task.settings;
  settings.confirm = [&work] { work.confirm(); };
  settings.checkpointed = [&record] { record.save(); };
  const StageContext context = context_of(task, work, settings);
  announce_stage(context, task.key);
  StageResults results = run_stage(context);
  if (const MatchedLength length = matched_length(task); length.budget) {
    results.details["match"] = length.record;
  }
  return results;
}

/// Chooses the threads, unless `before` says with how many the stage was computed so far, and
/// begins the record with them.
WorkRecord begin_record(const StageTask& task, const StageWork& work,
                        const nlohmann::json& before) {
  const auto begin = std::chrono::steady_clock::now();
  set_stage_threads(context_of(task, work, task.settings), before);
  nlohmann::json environment =
      computing_environment(task.settings.device, task.settings.loader_threads);
  if (!task.settings.device.is_cpu()) {
    environment["device"]["makes_views"] = views_on_devices();  // those that it can make
    environment["device"]["channels_last"] = channels_last();
  }
  if (const ProcessGroup* const group = current_group(); group != nullptr) {
    environment["threads"]["processes"] = group->size();
  }
  return {work.folder(), std::move(environment), begin};
}

/// Whether both folders have the same weights, to the bit.
bool same_weights(const fs::path& left, const fs::path& right) {
  for (const auto& entry : fs::directory_iterator(left)) {
    if (entry.path().extension() == ".safetensors" &&
        (!fs::exists(right / entry.path().filename()) ||
         hash_of_file(entry.path().string()) !=
             hash_of_file((right / entry.path().filename()).string()))) {
      return false;
    }
  }
  return true;
}

}  // namespace

void compute_stage(const StageTask& task, StageWork& work) {
  const bool resumed = has_progress(work.folder());
  const WorkRecord record = begin_record(task, work, environments_so_far(work.folder()));
  const AuditRecord audit(work.folder(), audit_identity(task.stage, task.key), resumed);
  malloc_trim(0);  // what earlier stages and trials have freed is no need of this one
  reset_peak_memory();
  StageResults results = run_in(task, work, record);
  audit.publish(results, task.store);
  results.kind = task.stage.kind;
  record.add_to(results);
  results.peak_memory_bytes = static_cast<double>(peak_memory());
  note_sources(task.stage, results);
  write_stage_results(work.folder(), results);
  work.publish();
}

void compute_audit(const StageTask& task, const fs::path& finished, StageWork& work) {
  const nlohmann::json before = has_progress(work.folder())
                                    ? environments_so_far(work.folder())
                                    : nlohmann::json(read_stage_results(finished).environments);
  StageResults results = run_in(task, work, begin_record(task, work, before));
  const bool same = same_weights(finished, work.folder());
  if (!same && task.settings.warn) {
    task.settings.warn(
        "trained again for its audit, the stage ended with other weights than those in the store "
        "(another machine or number of threads computes other last digits), so the audit is of a "
        "training like that one");
  }
  const fs::path folder = work.folder();
  const fs::path kept = temporary_path(folder);
  fs::create_directory(kept);
  write_audit(take_audit(results), folder, kept);
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path() != kept) {
      fs::remove_all(entry.path());
    }
  }
  for (const auto& entry : fs::directory_iterator(kept)) {
    fs::rename(entry.path(), folder / entry.path().filename());
  }
  fs::remove(kept);
  work.publish();
}

std::vector<std::string> metrics_not_finite(const StageResults& results) {
  std::vector<std::string> found;
  for (const MetricResult& metric : results.metrics) {
    if (!metric.not_finite.empty()) {
      found.push_back(fmt::format(
          "the {} on data.{} is not finite ({}), so its mean is left empty. The training may "
          "have diverged: try a smaller learning rate",
          metric.metric, spelled_key(metric.data), metric.not_finite));
    }
  }
  return found;
}

}  // namespace bissl::host
