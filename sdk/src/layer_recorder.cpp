#include "layer_recorder.h"

#include "bissl/layers.h"

#include <ATen/ops/linear.h>

namespace bissl {
namespace {

thread_local LayerRecorder* innermost = nullptr;

}  // namespace

bool layers_are_recorded() { return innermost != nullptr; }

LayerRecorder::LayerRecorder() : outer_(innermost) { innermost = this; }

LayerRecorder::~LayerRecorder() { innermost = outer_; }

void LayerRecorder::note(const LayerCall& call) {
  if (innermost != nullptr) {
    innermost->calls_.push_back(call);
  }
}

namespace layers {

// LibTorch's matrix products have fast second derivatives already; only the noting is ours.
at::Tensor linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor output =
      at::linear(input, weight, bias.defined() ? c10::optional<at::Tensor>(bias) : c10::nullopt);
  LayerRecorder::note({.input = input,
                       .weight = weight,
                       .bias = bias,
                       .output = output,
                       .convolution = false,
                       .geometry = {}});
  return output;
}

}  // namespace layers
}  // namespace bissl
