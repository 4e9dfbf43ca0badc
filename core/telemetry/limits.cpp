#include "telemetry/limits.h"

#include "base/exception_text.h"
#include "bissl/error.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <latch>
#include <new>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <vector>

namespace bissl::host {
namespace {

using Resource = decltype(RLIMIT_AS);

/// "NAME (ulimit -X) is N UNIT", or that there is none.
std::string limit_text(const char* name, char option, Resource resource, rlim_t unit,
                       const char* unit_name) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return fmt::format("{} (ulimit -{}) is none", name, option);
  }
  return fmt::format("{} (ulimit -{}) is {}{}", name, option, limit.rlim_cur / unit, unit_name);
}

bool is_limited(Resource resource) {
  rlimit limit{};
  return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

std::string memory_advice() {
  if (!is_limited(RLIMIT_AS) && !is_limited(RLIMIT_DATA)) {
    return ". No limit is set (ulimit -v), so the machine has no more: use smaller batches or a "
           "smaller network, or a machine with more memory";
  }
  return fmt::format(
      ". The limit on {}, the one on {}: raise them, or use smaller batches, a smaller network, "
      "fewer threads (--threads)",
      limit_text("address space", 'v', RLIMIT_AS, 1024, " KiB"),
      limit_text("data", 'd', RLIMIT_DATA, 1024, " KiB"));
}

std::string thread_advice() {
  std::string advice = fmt::format(". The limit on {} and counts all that the user runs",
                                   limit_text("processes and threads", 'u', RLIMIT_NPROC, 1, ""));
  for (const auto& [name, option, resource] :
       {std::tuple{"address space", 'v', RLIMIT_AS}, std::tuple{"data", 'd', RLIMIT_DATA}}) {
    if (is_limited(resource)) {
      advice += fmt::format("; a thread's stack needs room, and the limit on {}",
                            limit_text(name, option, resource, 1024, " KiB"));
    }
  }
  return advice +
         ". Raise the limit, or use fewer threads and jobs (--threads, --jobs, OMP_NUM_THREADS)";
}

}  // namespace

std::string limit_advice(int error) {
  switch (error) {
    case ENOMEM:
      return memory_advice();
    case EAGAIN:
      return thread_advice();
    case EMFILE:
      return fmt::format(". The limit on {}: raise it",
                         limit_text("open files", 'n', RLIMIT_NOFILE, 1, ""));
    case ENFILE:
      return ". The whole system has too many files open";
    default:
      return "";
  }
}

std::string explain_limits(const std::exception& exception) {
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) {
    return "there is no memory left" + memory_advice();
  }
  const auto* system = dynamic_cast<const std::system_error*>(&exception);
  if (system == nullptr) {
    const std::string text = exception_text(exception);
    // A message that computed what does not fit names the limit already.
    const bool unexplained =
        is_out_of_memory(exception) && text.find("ulimit") == std::string::npos;
    return unexplained ? text + memory_advice() : text;
  }
  const int error = system->code().value();
  // What std::thread throws says only that the resource is temporarily unavailable.
  return (error == EAGAIN ? "no further thread can be started" : std::string(exception.what())) +
         limit_advice(error);
}

void require_threads(int count) {
  std::latch end(1);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(std::max(0, count)));
  std::string refused;
  try {
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&end] { end.wait(); });
    }
  } catch (const std::system_error& error) {
    refused = explain_limits(error);
  }
  end.count_down();
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (!refused.empty()) {
    fail_run("{} of {} threads could be started: {}", threads.size(), count, refused);
  }
}

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

int usual_threads() {
  const char* const text = std::getenv("OMP_NUM_THREADS");
  const std::string_view wanted = text != nullptr ? text : "";
  int threads = 0;
  std::from_chars(wanted.data(), wanted.data() + wanted.size(), threads);
  const int processors = available_processors();
  return threads > 0 ? std::min(threads, processors) : processors;
}

}  // namespace bissl::host
