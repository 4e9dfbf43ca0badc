#pragma once

#include "stages/context.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <vector>

namespace bissl::host {

/// The numbers of threads that are tried up to `most`: 1, 2, 4, …, and `most` itself.
std::vector<int> thread_counts(int most);

/// How long a step takes with a number of threads.
struct ThreadTiming {
  int threads = 1;
  double seconds = 0;
};

/// What was chosen, and what for.
struct ThreadChoice {
  int threads = 1;
  std::vector<ThreadTiming> tried;  ///< in the order of thread_counts()

  /// "1 thread (a step takes 12 ms; with 2 threads 31 ms)".
  std::string text() const;
};

/// How much may be tried.
struct ThreadTrial {
  int turns = 3;           ///< for each number; with 1, a single step tells
  double row_seconds = 0;  ///< of steps in a row in a turn; one is made in any case
};

/// Times steps with more and more threads, as long as more are faster. Fewer threads win unless the
/// next number is faster by a twentieth: a thread that gains nothing takes time from others.
///
/// `first` are the seconds of a step with one thread, made just before. `step(threads)` makes a
/// step with that many threads and returns its seconds. Steps of a second and more are made once
/// for each number. Beside busy neighbours shorter ones differ much, so the numbers take turns and
/// medians count.
ThreadChoice choose_threads(int most, double first, const ThreadTrial& trial,
                            const std::function<double(int threads)>& step);

/// With how many threads the last of these processes (computing_environment) computed; 0 if nothing
/// says it.
int recorded_threads(const nlohmann::json& environments);

/// Sets LibTorch's threads for the stage that is about to be computed, as settings.most_threads
/// asks for; does nothing where that is 0. `before` are the environments
/// (computing_environment) of the processes that worked on the stage already: the stage
/// continues with the last one's number, unless it is above the most, so that it ends with the same
/// bits. Without any, trial steps decide, which take about a tenth of the stage's time at most;
/// where that is not enough for one with each number, LibTorch's number stays as it is: that of the
/// stage before, or the most.
void set_stage_threads(const StageContext& context, const nlohmann::json& before);

}  // namespace bissl::host
