#include "telemetry/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

namespace bissl::host {
namespace {

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

double address_space_left() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return unknown;
  }
  return static_cast<double>(limit.rlim_cur) - process_size().all;
}

/// The least limit of the control group that the process is in and of those around it.
double control_group() {
  double least = unknown;
  const std::filesystem::path root = "/sys/fs/cgroup";
  std::filesystem::path group = root;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::/")) {  // of version 2, which has one hierarchy
      group /= line.substr(4);
    }
  }
  while (true) {
    double bytes = 0;
    std::ifstream file(group / "memory.max");  // "max" where there is none: no number
    if (file >> bytes && bytes > 0) {
      least = std::min(least, bytes);
    }
    if (group == root || group == group.parent_path()) {
      return least;
    }
    group = group.parent_path();
  }
}

}  // namespace

MemoryLimit memory_limit() {
  MemoryLimit least{unknown, "memory"};
  const auto consider = [&](double bytes, const char* cause) {
    if (bytes < least.bytes) {
      least = {bytes, cause};
    }
  };
  consider(memory_and_swap("MemTotal:", "SwapTotal:"), "physical memory and swap space");
  consider(address_space_left(), "address space, which `ulimit -v` limits");
  consider(control_group(), "memory that the control group allows");
  return least;
}

double free_memory() {
  return memory_and_swap("MemAvailable:", "SwapFree:") + process_size().resident;
}

}  // namespace bissl::host
