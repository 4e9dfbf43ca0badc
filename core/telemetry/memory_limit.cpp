#include "telemetry/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr double unknown = std::numeric_limits<double>::infinity();

/// The sum of two lines of /proc/meminfo.
double memory_and_swap(const std::string& memory, const std::string& swap) {
  std::ifstream file("/proc/meminfo");
  double kilobytes = 0;
  for (std::string word; file >> word;) {
    if (word == memory || word == swap) {
      double number = 0;
      file >> number;
      kilobytes += number;
    }
  }
  return kilobytes > 0 ? kilobytes * 1024 : unknown;
}

/// The size of the process: in all, and what of it is in memory.
struct ProcessSize {
  double all = 0;
  double resident = 0;
};

ProcessSize process_size() {
  ProcessSize pages;
  std::ifstream("/proc/self/statm") >> pages.all >> pages.resident;
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  return {pages.all * page, pages.resident * page};
}

/// What a thread maps: its stack, and its heap (HEAP_MAX_SIZE of glibc's malloc/arena.c).
double address_space_of_thread() {
  constexpr double mebibyte = 1024.0 * 1024.0;
  constexpr double heap = 64 * mebibyte;
  constexpr double usual_stack = 8 * mebibyte;
  rlimit stack{};
  const bool limited = getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur != RLIM_INFINITY;
  return heap + (limited ? static_cast<double>(stack.rlim_cur) : usual_stack);
}

double address_space_left(int threads) {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return unknown;
  }
  return static_cast<double>(limit.rlim_cur) - process_size().all -
         static_cast<double>(threads) * address_space_of_thread();
}

/// The least number in the files `name` of a group and of those around it, up to `root`. In a
/// container the group's path may be that of the host, of which only `root` is there.
double least_limit(const fs::path& root, const fs::path& group, const char* name) {
  constexpr double none = 1e18;  // version 1 has a number of about 2^63 where there is no limit
  double least = unknown;
  for (fs::path folder = root / group;; folder = folder.parent_path()) {
    double bytes = 0;
    std::ifstream file(folder / name);  // "max" where there is none in version 2: no number
    if (file >> bytes && bytes > 0 && bytes < none) {
      least = std::min(least, bytes);
    }
    if (folder == root || folder == folder.parent_path()) {
      return least;
    }
  }
}

/// Whether a list such as "cpu,memory" has the word.
bool has_word(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

}  // namespace

double control_group_limit(const fs::path& root) {
  const fs::path groups = root / "sys/fs/cgroup";
  double least = unknown;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // NUMBER:CONTROLLERS:/GROUP
    const size_t controllers = line.find(':') + 1;
    const size_t end = line.find(":/", controllers);
    if (controllers == 0 || end == std::string::npos) {
      continue;
    }
    const std::string names = line.substr(controllers, end - controllers);
    const fs::path group = line.substr(end + 2);
    if (names.empty()) {  // version 2 has one hierarchy
      least = std::min(least, least_limit(groups, group, "memory.max"));
    } else if (has_word(names, "memory")) {
      least = std::min(least, least_limit(groups / "memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

MemoryLimit memory_limit(int threads) {
  MemoryLimit least{unknown, "memory"};
  const double resident = process_size().resident;
  const auto consider = [&](double bytes, const char* cause) {
    if (bytes < least.bytes) {
      least = {bytes, cause};
    }
  };
  consider(memory_and_swap("MemTotal:", "SwapTotal:") - resident, "physical memory and swap space");
  consider(address_space_left(threads), "address space, which `ulimit -v` limits");
  consider(control_group_limit() - resident, "memory that the control group allows");
  return least;
}

double free_memory() {
  return memory_and_swap("MemAvailable:", "SwapFree:") + process_size().resident;
}

}  // namespace bissl::host
