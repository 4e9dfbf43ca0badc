#include "telemetry/peak_memory.h"

#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace bissl::host {
namespace {

/// A line of /proc/self/status that has a size, in bytes; 0 where there is none.
int64_t status_bytes(const char* line) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == line) {
      int64_t kilobytes = 0;
      status >> kilobytes;
      return kilobytes * 1024;
    }
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

/// The program keeps it for the next step (core/cli/start.cpp).
void give_back_freed_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace

void reset_peak_memory() {
  give_back_freed_memory();
  std::ofstream("/proc/self/clear_refs") << "5";  // proc(5): resets VmHWM
}

int64_t peak_memory() { return status_bytes("VmHWM:"); }

int64_t memory_above_now() {
  give_back_freed_memory();
  return std::max<int64_t>(0, peak_memory() - resident_memory());
}

int64_t resident_memory() { return status_bytes("VmRSS:"); }

}  // namespace bissl::host
