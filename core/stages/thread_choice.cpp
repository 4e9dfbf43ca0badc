#include "stages/thread_choice.h"

#include "base/phase.h"
#include "bissl/error.h"
#include "stages/batch_statistics.h"
#include "stages/check.h"
#include "stages/precision.h"
#include "stages/stage_kind.h"
#include "stages/trial.h"
#include "telemetry/interrupt.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

namespace bissl::host {
namespace {

/// How much faster a step has to be for more threads.
constexpr double worthwhile = 0.95;

/// The mean seconds of a step in a row of steps that takes about `row_seconds`.
double mean_of_row(int threads, double row_seconds, const std::function<double(int)>& step) {
  double seconds = 0;
  int steps = 0;
  do {
    seconds += step(threads);
    ++steps;
  } while (seconds + seconds / steps < row_seconds);
  return seconds / steps;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string step_time(double seconds) {
  return seconds < 1 ? fmt::format("{:.3g} ms", 1e3 * seconds) : fmt::format("{:.3g} s", seconds);
}

std::string threads_text(int threads) {
  return fmt::format("{} {}", threads, threads == 1 ? "thread" : "threads");
}

/// While it lives, a profile sees no phases, and no operations of this thread.
class Unobserved {
 public:
  Unobserved() : listener_(listen_to_phases(nullptr)) {}
  ~Unobserved() { listen_to_phases(listener_); }
  Unobserved(const Unobserved&) = delete;
  Unobserved& operator=(const Unobserved&) = delete;

 private:
  PhaseListener* listener_;
  at::DisableRecordFunctionGuard no_operations_;
};

/// Chooses by steps of a trial, which move no weights: what is trained afterwards is what a run
/// with this number of threads from the start trains.
ThreadChoice choose_by_trial(const StageContext& context) {
  const Phase phase(trial_phase);
  const Unobserved unobserved;
  const StagePrecision precision(context);
  const StageBatchStatistics statistics(context);
  StagePlan plan;
  const auto trial = stage_kind(context.stage.kind).trial(context, plan, /*measure=*/false);
  trial->build();
  const auto step = [&](int threads) {
    if (interrupted()) {
      throw Interrupted();
    }
    at::set_num_threads(threads);
    return seconds_of([&] { trial->step(); });
  };
  const int before = at::get_num_threads();
  const double first = step(1);
  trial->estimate();
  // Two numbers are tried at least, and a tenth of the stage is for that.
  const double turns = plan.seconds / 10 / (2 * std::max(first, 1e-9));
  if (turns < 1) {
    return {.threads = std::min(before, context.settings.most_threads), .tried = {}};
  }
  constexpr double most_turns = 3;
  const ThreadTrial limits{.turns = static_cast<int>(std::min(turns, most_turns)),
                           .row_seconds = std::clamp(plan.seconds / 100, 0.0, 0.15)};
  return choose_threads(context.settings.most_threads, first, limits, step);
}

}  // namespace

std::vector<int> thread_counts(int most) {
  std::vector<int> counts;
  for (int count = 1; count < most; count *= 2) {
    counts.push_back(count);
  }
  counts.push_back(std::max(1, most));
  return counts;
}

int recorded_threads(const nlohmann::json& environments) {
  if (!environments.is_array() || environments.empty()) {
    return 0;
  }
  const nlohmann::json& last = environments.back();
  const nlohmann::json threads =
      last.is_object() ? last.value("threads", nlohmann::json()) : nlohmann::json();
  const nlohmann::json compute =
      threads.is_object() ? threads.value("compute", nlohmann::json()) : nlohmann::json();
  return compute.is_number_integer() ? compute.get<int>() : 0;
}

std::string ThreadChoice::text() const {
  std::string text = threads_text(threads);
  std::string others;
  for (const ThreadTiming& one : tried) {
    if (one.threads == threads) {
      text += fmt::format(" (a step takes {}", step_time(one.seconds));
    } else {
      others += fmt::format(", with {} {}", threads_text(one.threads), step_time(one.seconds));
    }
  }
  return tried.empty() ? text : text + others + ")";
}

ThreadChoice choose_threads(int most, double first, const ThreadTrial& trial,
                            const std::function<double(int threads)>& step) {
  constexpr double long_step = 1.0;  // its noise averages out within it
  ThreadTiming best{.threads = 1, .seconds = first};
  ThreadChoice choice;
  for (const int threads : thread_counts(most)) {
    if (threads == 1) {
      continue;
    }
    // It starts threads as well.
    ThreadTiming more{.threads = threads, .seconds = step(threads)};
    if (trial.turns > 1 && more.seconds < long_step && best.seconds < long_step) {
      std::vector<double> with_best;
      std::vector<double> with_more;
      for (int turn = 0; turn < trial.turns; ++turn) {
        with_best.push_back(mean_of_row(best.threads, trial.row_seconds, step));
        with_more.push_back(mean_of_row(threads, trial.row_seconds, step));
      }
      best.seconds = median(with_best);
      more.seconds = median(with_more);
    }
    if (choice.tried.empty()) {
      choice.tried.push_back(best);
    }
    choice.tried.push_back(more);
    if (more.seconds > worthwhile * best.seconds) {
      break;
    }
    best = more;
  }
  choice.threads = best.threads;
  return choice;
}

void set_stage_threads(const StageContext& context, const nlohmann::json& before) {
  const int most = context.settings.most_threads;
  if (most <= 0) {
    return;
  }
  if (const int recorded = recorded_threads(before); recorded > 0 && recorded <= most) {
    at::set_num_threads(recorded);
    return;
  }
  const ThreadChoice choice = choose_by_trial(context);
  malloc_trim(0);  // the trial's networks are gone
  at::set_num_threads(choice.threads);
  if (context.settings.note && most > 1) {
    context.settings.note(fmt::format("{}: {}", context.stage.name, choice.text()));
  }
}

}  // namespace bissl::host
