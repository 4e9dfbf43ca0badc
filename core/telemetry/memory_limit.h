#pragma once

#include <filesystem>
#include <string>

namespace bissl::host {

/// How much memory this process can still get at most, beside what it has, whatever else runs.
struct MemoryLimit {
  double bytes = 0;   ///< infinite if nothing is known
  std::string cause;  ///< "physical memory and swap space", …
};

/// The least of what is left of physical memory with swap space, of the control group's limit and
/// of the address space (ulimit -v): less what this process has in memory, or of the address space
/// what it has mapped, libraries and stacks of threads included. `threads` are still to be started:
/// each maps its stack, and a heap of its own once it allocates something.
MemoryLimit memory_limit(int threads = 0);

/// The least limit, in bytes, of the control groups that the process is in and of those around
/// them, of version 2 (memory.max) and of version 1 (memory.limit_in_bytes); infinite if there is
/// none. proc/self/cgroup and sys/fs/cgroup are read below `root`.
double control_group_limit(const std::filesystem::path& root = "/");

/// The bytes that the system could give to programs now, swap space included, with what this
/// process has already; infinite if nothing is known.
double free_memory();

}  // namespace bissl::host
