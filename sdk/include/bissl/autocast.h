#pragma once

#include "bissl/export.h"

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

namespace bissl {

// LibTorch's autocast of the calling thread, by which a stage with `precision = "bf16"` or "fp16"
// makes the passes of a backbone. Its functions differ between versions of LibTorch; these do not.
// A backbone that calls LibTorch's own operations needs nothing of this. One whose operation is
// unknown to autocast, or which needs single precision for a part of its pass, asks or sets it
// here:
//
//     const AutocastScope single(images.device().type(), {.enabled = false});
//
// Autocast exists on CPUs and GPUs of CUDA; on other devices it is off and stays so.

/// Whether and how operations on a type of device are autocast.
struct AutocastState {
  bool enabled = false;                 ///< operations that autocast knows compute in `type`
  at::ScalarType type = at::kBFloat16;  ///< what convolutions and matrix products compute in
  bool cached = true;  ///< casts of weights are kept until the outermost scope of LibTorch's ends
};

/// The state of the calling thread for operations on `device`.
BISSL_API AutocastState autocast_state(c10::DeviceType device);

/// Has a state in force in the calling thread while it lives, and then the one before. Scopes nest.
/// Whether casts are kept is one setting for all devices.
class BISSL_API AutocastScope {
 public:
  /// Sets the state of the calling thread for operations on `device`; of a device without autocast
  /// nothing is set.
  AutocastScope(c10::DeviceType device, const AutocastState& state);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  c10::DeviceType device_;
  AutocastState outer_;
};

}  // namespace bissl
