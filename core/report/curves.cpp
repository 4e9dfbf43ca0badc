#include "report/curves.h"

#include "bissl/error.h"
#include "telemetry/event_reader.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// (step, value) of each kind of loss in one event log.
using Losses = std::map<std::string, std::vector<std::pair<double, double>>>;

/// The number of a loss in an event; null if it has none. The loss of a phase has the phase's name,
/// and "loss" is that of a training without phases: phases whose loss a stage does not list among
/// its losses, such as the fit of a head beforehand, are no part of its curves.
const double* find_loss(const EventNumbers& event, const std::string& loss) {
  std::string tag = loss;
  if (!event.phase.empty()) {
    if (loss == "loss") {
      return nullptr;
    }
    tag = event.phase + (loss == event.phase ? "/loss" : "/" + loss);
  }
  const auto found = std::find_if(event.values.begin(), event.values.end(),
                                  [&](const auto& value) { return value.first == tag; });
  return found == event.values.end() ? nullptr : &found->second;
}

void add_losses(const EventNumbers& event, const std::vector<std::string>& names,
                std::map<std::string, double>& steps, Losses& losses) {
  for (const std::string& loss : names) {
    if (const double* value = find_loss(event, loss)) {
      const double step = steps[loss]++;  // a loss that is not finite leaves a gap
      if (std::isfinite(*value)) {
        losses[loss].emplace_back(step, *value);
      }
    }
  }
}

/// What can be read of a log: a report has the other curves without it.
Losses read_log(const fs::path& file, const std::vector<std::string>& names) {
  Losses losses;
  std::map<std::string, double> steps;
  try {
    EventPart part{.events = {}, .more = true};
    while (part.more) {
      part = read_events(file, part.position);
      if (part.restarted) {
        losses.clear();
        steps.clear();
      }
      for (const EventNumbers& event : part.events) {
        add_losses(event, names, steps, losses);
      }
    }
  } catch (const Error&) {
    return losses;
  }
  return losses;
}

/// Those of the stage's logs that are there.
std::vector<fs::path> logs_of(const StageTiming& stage) {
  std::error_code ignored;
  std::vector<fs::path> logs;
  for (const std::string& name : stage.logs) {
    if (fs::exists(stage.folder / name, ignored)) {
      logs.push_back(stage.folder / name);
    }
  }
  return logs;
}

/// The mean over all logs in each bin of steps.
Curve binned(const std::vector<std::vector<std::pair<double, double>>>& logs, size_t bins) {
  double last = 0;
  for (const auto& log : logs) {
    last = std::max(last, log.empty() ? 0.0 : log.back().first);
  }
  const size_t count = std::min(bins, static_cast<size_t>(last) + 1);
  std::vector<double> sums(count);
  std::vector<double> numbers(count);
  const double width = (last + 1) / static_cast<double>(count);
  for (const auto& log : logs) {
    for (const auto& [step, value] : log) {
      const auto bin = std::min(count - 1, static_cast<size_t>(step / width));
      sums[bin] += value;
      numbers[bin] += 1;
    }
  }
  Curve curve;
  for (size_t bin = 0; bin < count; ++bin) {
    if (numbers[bin] > 0) {
      curve.steps.push_back((static_cast<double>(bin) + 0.5) * width);
      curve.values.push_back(sums[bin] / numbers[bin]);
    }
  }
  return curve;
}

/// Stages of one name that are shown as one curve.
struct Bundle {
  std::string label;
  std::set<std::string> keys;
  std::vector<const StageTiming*> stages;
};

std::vector<Bundle> bundles_by(const std::vector<const StageTiming*>& stages,
                               const std::function<std::string(const StageTiming&)>& label) {
  std::vector<Bundle> bundles;
  for (const StageTiming* stage : stages) {
    const std::string name = label(*stage);
    auto bundle = std::find_if(bundles.begin(), bundles.end(),
                               [&](const Bundle& one) { return one.label == name; });
    if (bundle == bundles.end()) {
      bundles.push_back({name, {}, {}});
      bundle = bundles.end() - 1;
    }
    if (bundle->keys.insert(stage->key).second) {
      bundle->stages.push_back(stage);
    }
  }
  return bundles;
}

/// Bundles by cell, without repetitions of what cells share; by the first axis if they are many.
std::vector<Bundle> bundle(const ReportData& data, const std::vector<const StageTiming*>& stages,
                           size_t most) {
  const auto join_shared = [](std::vector<Bundle> bundles) {
    std::vector<Bundle> joined;
    for (Bundle& one : bundles) {
      const auto same = std::find_if(joined.begin(), joined.end(),
                                     [&](const Bundle& other) { return other.keys == one.keys; });
      if (same == joined.end()) {
        joined.push_back(std::move(one));
      } else {
        same->label += "; " + one.label;
      }
    }
    if (joined.size() == 1 && bundles.size() > 1) {
      joined.front().label = "all cells";
    }
    return joined;
  };
  std::vector<Bundle> bundles = join_shared(
      bundles_by(stages, [&](const StageTiming& stage) { return data.label(stage.choices); }));
  if (bundles.size() > most && !data.axes.empty()) {
    bundles = join_shared(bundles_by(stages, [&](const StageTiming& stage) {
      return data.axes.front().labels.at(stage.choices.front());
    }));
  }
  if (bundles.size() > most) {
    bundles = bundles_by(stages, [](const StageTiming&) { return std::string("all cells"); });
  }
  return bundles;
}

}  // namespace

std::vector<MissingLogs> missing_logs(const ReportData& data) {
  std::vector<MissingLogs> missing;
  std::set<std::string> seen;
  for (const StageTiming& stage : data.stages) {
    if (stage.logs.empty() || !seen.insert(stage.stage + " " + stage.key).second) {
      continue;
    }
    auto entry = std::find_if(missing.begin(), missing.end(),
                              [&](const MissingLogs& one) { return one.stage == stage.stage; });
    if (entry == missing.end()) {
      missing.push_back({stage.stage, 0, 0, {}});
      entry = missing.end() - 1;
    }
    ++entry->stages;
    if (logs_of(stage).empty()) {
      entry->example = entry->without++ == 0 ? stage.folder : entry->example;
    }
  }
  std::erase_if(missing, [](const MissingLogs& one) { return one.without == 0; });
  return missing;
}

std::vector<CurveGroup> learning_curves(const ReportData& data, size_t most_curves, size_t bins) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<const StageTiming*>> by_name;
  for (const StageTiming& stage : data.stages) {
    if (by_name[stage.stage].empty()) {
      names.push_back(stage.stage);
    }
    by_name[stage.stage].push_back(&stage);
  }
  std::vector<CurveGroup> groups;
  for (const std::string& name : names) {
    std::map<std::string, CurveGroup> by_loss;
    for (const Bundle& one : bundle(data, by_name[name], most_curves)) {
      std::map<std::string, std::vector<std::vector<std::pair<double, double>>>> logs;
      for (const StageTiming* stage : one.stages) {
        for (const fs::path& file : logs_of(*stage)) {
          for (auto& [loss, points] : read_log(file, stage->losses)) {
            logs[loss].push_back(std::move(points));
          }
        }
      }
      for (const auto& [loss, points] : logs) {
        Curve curve = binned(points, bins);
        curve.label = one.label;
        CurveGroup& group = by_loss[loss];
        group.stage = name;
        group.loss = loss;
        group.curves.push_back(std::move(curve));
      }
    }
    for (auto& [loss, group] : by_loss) {
      groups.push_back(std::move(group));
    }
  }
  return groups;
}

}  // namespace bissl::host
