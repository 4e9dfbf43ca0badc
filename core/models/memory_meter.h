#pragma once

#include <cstdint>
#include <memory>

namespace bissl::host {

/// Counts the memory of tensors that this thread makes while the meter lives: bytes allocated
/// since, less those of them that were freed. Exact, unlike the size of the process, which also
/// moves with what the allocator keeps. Meters do not nest.
class MemoryMeter {
 public:
  MemoryMeter();
  ~MemoryMeter();
  MemoryMeter(const MemoryMeter&) = delete;
  MemoryMeter& operator=(const MemoryMeter&) = delete;

  int64_t bytes() const;
  /// The most that bytes() has been.
  int64_t peak() const;

 private:
  class Reporter;
  std::shared_ptr<Reporter> reporter_;
};

}  // namespace bissl::host
