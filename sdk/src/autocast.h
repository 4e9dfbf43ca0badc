#pragma once

#include <ATen/autocast_mode.h>
#include <torch/version.h>

// LibTorch's autocast of the calling thread, whose functions differ between versions. On processors
// and GPUs of CUDA; elsewhere it is off and stays so.

namespace bissl {

/// Whether and how operations on a type of device are autocast.
struct AutocastState {
  bool enabled = false;
  at::ScalarType type = at::kBFloat16;  ///< what convolutions and matrix products compute in
  bool cached = true;  ///< casts of weights are kept until the outermost scope of LibTorch's ends
};

inline bool has_autocast(c10::DeviceType device) {
  return device == c10::DeviceType::CPU || device == c10::DeviceType::CUDA;
}

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)

inline AutocastState autocast_state(c10::DeviceType device) {
  if (!has_autocast(device)) {
    return {};
  }
  return {.enabled = at::autocast::is_autocast_enabled(device),
          .type = at::autocast::get_autocast_dtype(device),
          .cached = at::autocast::is_autocast_cache_enabled()};
}

inline void set_autocast_state(c10::DeviceType device, const AutocastState& state) {
  if (has_autocast(device)) {
    at::autocast::set_autocast_enabled(device, state.enabled);
    at::autocast::set_autocast_dtype(device, state.type);
    at::autocast::set_autocast_cache_enabled(state.cached);
  }
}

#else

inline AutocastState autocast_state(c10::DeviceType device) {
  if (!has_autocast(device)) {
    return {};
  }
  const bool cpu = device == c10::DeviceType::CPU;
  return {
      .enabled = cpu ? at::autocast::is_cpu_enabled() : at::autocast::is_enabled(),
      .type = cpu ? at::autocast::get_autocast_cpu_dtype() : at::autocast::get_autocast_gpu_dtype(),
      .cached = at::autocast::is_autocast_cache_enabled()};
}

inline void set_autocast_state(c10::DeviceType device, const AutocastState& state) {
  if (!has_autocast(device)) {
    return;
  }
  if (device == c10::DeviceType::CPU) {
    at::autocast::set_cpu_enabled(state.enabled);
    at::autocast::set_autocast_cpu_dtype(state.type);
  } else {
    at::autocast::set_enabled(state.enabled);
    at::autocast::set_autocast_gpu_dtype(state.type);
  }
  at::autocast::set_autocast_cache_enabled(state.cached);
}

#endif

/// Has a state in force while it lives, and then the one before. Scopes nest.
class AutocastScope {
 public:
  AutocastScope(c10::DeviceType device, const AutocastState& state)
      : device_(device), outer_(autocast_state(device)) {
    set_autocast_state(device_, state);
  }
  ~AutocastScope() { set_autocast_state(device_, outer_); }
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  c10::DeviceType device_;
  AutocastState outer_;
};

}  // namespace bissl
