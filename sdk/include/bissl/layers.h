#pragma once

#include "bissl/export.h"

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

namespace bissl {

// Layers whose second derivatives are fast, for backbones, projectors and losses on the lower
// level. Values, gradients and second derivatives are those of LibTorch's own layers. Third ones
// are right as well, and slow. bissl/modules.h has modules that hold the weights.
//
// Why: LibTorch's double backward of a convolution transposes batch and channels and runs
// convolutions of odd shapes, and that of a batch normalisation is a long chain of small passes.
//
// All functions are differentiable and keep to the gradient mode. Threads: any.

namespace layers {

/// Where a convolution's kernel goes: (height, width) each.
struct Conv2dGeometry {
  std::array<int64_t, 2> stride{1, 1};    ///< pixels from one place to the next
  std::array<int64_t, 2> padding{0, 0};   ///< zeros around the image
  std::array<int64_t, 2> dilation{1, 1};  ///< pixels between neighbours of the kernel
  int64_t groups = 1;                     ///< of channels that do not mix
};

/// (N, I, H, W) and weight (O, I/groups, kh, kw) → (N, O, H', W'). `bias` is (O), or undefined.
/// Throws c10::Error where shapes do not fit.
BISSL_API at::Tensor conv2d(const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias = {}, const Conv2dGeometry& geometry = {});

/// Statistics and settings of a batch normalisation.
struct BatchNormState {
  at::Tensor running_mean;  ///< (C), or undefined; changed in place in training
  at::Tensor running_var;   ///< (C), or undefined; changed in place in training
  bool training = true;     ///< normalise by the batch's statistics rather than the running ones
  double momentum = 0.1;    ///< share of the batch in the running statistics
  double epsilon = 1e-5;    ///< added to the variance
};

/// Batch normalisation over all dimensions but the second (Ioffe and Szegedy 2015, algorithm 1).
/// `input` is (N, C) or (N, C, …) with at least two values for each channel in training; `weight`
/// and `bias` are (C), or undefined for ones and zeros.
BISSL_API at::Tensor batch_norm(const at::Tensor& input, const at::Tensor& weight,
                                const at::Tensor& bias, const BatchNormState& state);

/// relu(batch_norm(input, weight, bias, state) + residual) as one layer: on the CPU, for contiguous
/// images in single or double precision, in as many passes over memory as batch normalisation
/// alone, in each direction and for second derivatives. `residual` has the input's shape, or is
/// undefined for zeros. Where the one layer does not apply, the three operations are called.
BISSL_API at::Tensor batch_norm_relu(const at::Tensor& input, const at::Tensor& weight,
                                     const at::Tensor& bias, const BatchNormState& state,
                                     const at::Tensor& residual = {});

/// (…, I) and weight (O, I) → (…, O). `bias` is (O), or undefined.
BISSL_API at::Tensor linear(const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias = {});

}  // namespace layers

/// A call of layers::conv2d or layers::linear, for approximations that work layer by layer.
struct LayerCall {
  at::Tensor input;                 ///< (N, …, I) or (N, I, H, W)
  at::Tensor weight;                ///< as the function was given it
  at::Tensor bias;                  ///< undefined where there is none
  at::Tensor output;                ///< with its graph; not to be changed in place by the caller
  bool convolution = false;         ///< conv2d rather than linear
  layers::Conv2dGeometry geometry;  ///< of a convolution
};

/// While it lives, the calls of layers::conv2d and layers::linear on this thread are noted. Scopes
/// nest; the innermost one notes.
class BISSL_API LayerRecorder {
 public:
  LayerRecorder();
  ~LayerRecorder();
  LayerRecorder(const LayerRecorder&) = delete;
  LayerRecorder& operator=(const LayerRecorder&) = delete;

  /// In the order of the calls.
  const std::vector<LayerCall>& calls() const { return calls_; }

  /// Notes a call if a recorder lives on this thread.
  static void note(const LayerCall& call);

 private:
  LayerRecorder* outer_;
  std::vector<LayerCall> calls_;
};

}  // namespace bissl
