#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

// A device without hardware, for the question where tensors are. Its memory is the processor's, and
// its operations are done by the processor, but LibTorch takes its tensors for those of another
// device: one operation on tensors of both is found, and so is each one that a real device would be
// waited for.
//
// It has the device type of Intel's GPUs, for which a LibTorch for processors and for CUDA has no
// operations. A private-use type would not do: LibTorch 1.13 does not let a module move there.
namespace bissl::host::test {

/// The device. A program that links fake_device.cpp has it from its start.
inline const c10::Device fake_device{c10::DeviceType::XPU, 0};

/// What was done with it.
struct DeviceUse {
  int64_t operations = 0;  ///< that the device has done
  /// Operations on tensors of the device and of the processor: "aten::dot: [3] on cpu". A
  /// single number may be on the processor, where LibTorch takes it for a scalar.
  std::vector<std::string> mixed;
  /// Operations that a real device is waited for: it has to tell a number, or the shape of a
  /// result, or memory that is read or written by the processor.
  std::vector<std::string> waits;
  /// Streams: "record 1" (a mark in stream 1), "block 0" (stream 0 waits for one), in their order.
  std::vector<std::string> streams;
  int64_t recorded = 0;  ///< tensors that were kept for a stream
};

/// What was done since the last call.
DeviceUse take_device_use();

}  // namespace bissl::host::test
