#pragma once

#include "bissl/batch.h"

#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>

#include <optional>

namespace bissl::host {

/// A GPU's copies beside its computations. A thread that makes batches has one while it works: what
/// it asks of the GPU is queued in a stream of its own, in which transfers do not wait for the
/// training step, nor the step for them. On the CPU nothing of this does anything.
class DeviceQueue {
 public:
  /// Of the calling thread, until it goes. Throws c10::Error where the device gives no stream.
  explicit DeviceQueue(c10::Device device);

  /// A mark behind what has been queued so far; none on the CPU.
  std::optional<c10::Event> mark() const;

 private:
  std::optional<c10::Stream> stream_;
  std::optional<c10::StreamGuard> guard_;
};

/// Hands `batch` to the calling thread's stream: what is queued there from now on waits for
/// `ready`, and the batch's memory is not used again before that is done. Does nothing without a
/// mark.
void take_over(const Batch& batch, const std::optional<c10::Event>& ready);

}  // namespace bissl::host
