#include "bissl/autocast.h"

#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace bissl {
namespace {

bool has_autocast(c10::DeviceType device) {
  return device == c10::DeviceType::CPU || device == c10::DeviceType::CUDA;
}

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)

bool is_enabled(c10::DeviceType device) { return at::autocast::is_autocast_enabled(device); }

at::ScalarType type_of(c10::DeviceType device) { return at::autocast::get_autocast_dtype(device); }

void set(c10::DeviceType device, const AutocastState& state) {
  at::autocast::set_autocast_enabled(device, state.enabled);
  at::autocast::set_autocast_dtype(device, state.type);
}

#else

bool is_enabled(c10::DeviceType device) {
  return device == c10::DeviceType::CPU ? at::autocast::is_cpu_enabled()
                                        : at::autocast::is_enabled();
}

at::ScalarType type_of(c10::DeviceType device) {
  return device == c10::DeviceType::CPU ? at::autocast::get_autocast_cpu_dtype()
                                        : at::autocast::get_autocast_gpu_dtype();
}

void set(c10::DeviceType device, const AutocastState& state) {
  if (device == c10::DeviceType::CPU) {
    at::autocast::set_cpu_enabled(state.enabled);
    at::autocast::set_autocast_cpu_dtype(state.type);
  } else {
    at::autocast::set_enabled(state.enabled);
    at::autocast::set_autocast_gpu_dtype(state.type);
  }
}

#endif

void set_state(c10::DeviceType device, const AutocastState& state) {
  if (has_autocast(device)) {
    set(device, state);
    at::autocast::set_autocast_cache_enabled(state.cached);
  }
}

}  // namespace

AutocastState autocast_state(c10::DeviceType device) {
  if (!has_autocast(device)) {
    return {};
  }
  return {.enabled = is_enabled(device),
          .type = type_of(device),
          .cached = at::autocast::is_autocast_cache_enabled()};
}

AutocastScope::AutocastScope(c10::DeviceType device, const AutocastState& state)
    : device_(device), outer_(autocast_state(device)) {
  set_state(device_, state);
}

AutocastScope::~AutocastScope() { set_state(device_, outer_); }

}  // namespace bissl
