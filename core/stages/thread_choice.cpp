#include "stages/thread_choice.h"

#include "base/phase.h"
#include "bissl/error.h"
#include "stages/check.h"
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
constexpr int turns = 3;

/// The mean seconds of a step in a row of steps that takes about `most_seconds`.
double mean_of_row(int threads, double most_seconds, const std::function<double(int)>& step) {
  double seconds = 0;
  int steps = 0;
  do {
    seconds += step(threads);
    ++steps;
  } while (seconds + seconds / steps < most_seconds);
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

/// While it lives, this thread is not in a profile.
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
  StagePlan plan;
  const auto trial = stage_kind(context.stage.kind).trial(context, plan, /*measure=*/false);
  trial->build();
  at::set_num_threads(1);
  trial->step();
  trial->estimate();
  // A hundredth of the stage for each number and turn, and never long.
  const double row = std::clamp(plan.seconds / 100, 0.0, 0.15);
  return choose_threads(context.settings.most_threads, row, [&](int threads) {
    if (interrupted()) {
      throw Interrupted();
    }
    at::set_num_threads(threads);
    return seconds_of([&] { trial->step(); });
  });
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

ThreadChoice choose_threads(int most, double most_seconds,
                            const std::function<double(int threads)>& step) {
  constexpr double long_step = 1.0;  // its noise averages out within it
  ThreadChoice choice;
  if (most <= 1) {
    return choice;
  }
  ThreadTiming best;
  for (const int threads : thread_counts(most)) {
    if (threads == 1) {
      continue;
    }
    // The first step after a change of the number starts threads.
    const double first = step(threads);
    std::vector<double> with_more;
    std::vector<double> with_best;
    for (int turn = 0; turn < (first < long_step ? turns : 1); ++turn) {
      if (turn > 0 || choice.tried.empty()) {
        with_best.push_back(mean_of_row(best.threads, most_seconds, step));
      }
      with_more.push_back(mean_of_row(threads, most_seconds, step));
    }
    if (choice.tried.empty()) {
      best.seconds = median(with_best);
      choice.tried.push_back(best);
    } else if (!with_best.empty()) {
      best.seconds = median(with_best);
    }
    const ThreadTiming more{.threads = threads, .seconds = median(with_more)};
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
