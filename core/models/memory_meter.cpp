#include "models/memory_meter.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <atomic>

namespace bissl::host {
namespace {

// The type of the totals in LibTorch's callback: int64_t up to 1.13, size_t later.
template <class Total>
Total total_of(void (c10::MemoryReportingInfoBase::*)(void*, int64_t, Total, Total, c10::Device));
using Total = decltype(total_of(&c10::MemoryReportingInfoBase::reportMemoryUsage));

}  // namespace

/// What LibTorch's allocators report to, as to its profiler.
class MemoryMeter::Reporter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void* /*pointer*/, int64_t size, Total /*allocated*/, Total /*reserved*/,
                         c10::Device device) override {
    if (!device.is_cpu()) {
      return;
    }
    const int64_t now = bytes_ += size;
    int64_t peak = peak_;
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t bytes() const { return bytes_; }
  int64_t peak() const { return peak_; }

 private:
  std::atomic<int64_t> bytes_ = 0;
  std::atomic<int64_t> peak_ = 0;
};

MemoryMeter::MemoryMeter() : reporter_(std::make_shared<Reporter>()) {
  c10::ThreadLocalDebugInfo::_push(c10::DebugInfoKind::PROFILER_STATE, reporter_);
}

MemoryMeter::~MemoryMeter() { c10::ThreadLocalDebugInfo::_pop(c10::DebugInfoKind::PROFILER_STATE); }

int64_t MemoryMeter::bytes() const { return reporter_->bytes(); }

int64_t MemoryMeter::peak() const { return reporter_->peak(); }

}  // namespace bissl::host
