#pragma once

#include <cstdint>
#include <memory>

namespace bissl::host {

/// Counts the memory of tensors on the CPU that this thread makes while the meter lives: bytes
/// allocated since, less those of them that were freed. Memory of other devices is not counted, as
/// it is none of the limits' that the sums are compared with. Exact, unlike the size of the
/// process, which also moves with what the allocator keeps. Meters do not nest.
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
