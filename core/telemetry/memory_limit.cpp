#include "telemetry/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <limits>

namespace bissl::host {
namespace {

constexpr double unknown = std::numeric_limits<double>::infinity();

double memory_and_swap() {
  std::ifstream file("/proc/meminfo");
  double kilobytes = 0;
  for (std::string word; file >> word;) {
    if (word == "MemTotal:" || word == "SwapTotal:") {
      double number = 0;
      file >> number;
      kilobytes += number;
    }
  }
  return kilobytes > 0 ? kilobytes * 1024 : unknown;
}

double address_space_left() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return unknown;
  }
  double pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return static_cast<double>(limit.rlim_cur) - pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double control_group() {
  double bytes = 0;
  std::ifstream file("/sys/fs/cgroup/memory.max");  // "max" where there is none: no number
  return file >> bytes && bytes > 0 ? bytes : unknown;
}

}  // namespace

MemoryLimit memory_limit() {
  MemoryLimit least{unknown, "memory"};
  const auto consider = [&](double bytes, const char* cause) {
    if (bytes < least.bytes) {
      least = {bytes, cause};
    }
  };
  consider(memory_and_swap(), "physical memory and swap space");
  consider(address_space_left(), "address space, which `ulimit -v` limits");
  consider(control_group(), "memory that the control group allows");
  return least;
}

}  // namespace bissl::host
