#pragma once

#include "bissl/export.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// Tensors of one model in the order of its parameters: the vectors of bilevel optimisation.
using TensorList = std::vector<at::Tensor>;

/// A tensor with a name.
struct NamedTensor {
  NamedTensor() = default;
  /// With both; `{"weight", tensor}` and emplace_back work.
  NamedTensor(std::string named, at::Tensor values)
      : name(std::move(named)), tensor(std::move(values)) {}

  std::string name;   ///< unique in its list
  at::Tensor tensor;  ///< undefined by default
};

/// Tensors with names, for states and weights.
using NamedTensors = std::vector<NamedTensor>;

// The functions below treat a list as one long vector. Both arguments must have the same shapes in
// the same order. They record no gradients. A sum runs within a tensor in the tensor's precision,
// and over the tensors in double precision.

/// Σ xᵢ·yᵢ
BISSL_API double dot(const TensorList& x, const TensorList& y);
/// ‖x‖₂
BISSL_API double norm(const TensorList& x);
/// x ← x + a·y, in place.
BISSL_API void add_scaled(TensorList& x, double a, const TensorList& y);
/// x ← a·x, in place.
BISSL_API void scale(TensorList& x, double a);
/// Copies that share no memory with `x`.
BISSL_API TensorList copy(const TensorList& x);
BISSL_API TensorList zeros_like(const TensorList& x);
/// Whether no element is NaN or infinite.
BISSL_API bool all_finite(const TensorList& x);

/// The number of elements of all tensors.
BISSL_API int64_t count(const TensorList& x);
/// The list as one vector in double precision on the CPU, for dense algebra.
BISSL_API at::Tensor flatten(const TensorList& x);
/// The opposite: `flat` in the shapes, types and on the devices of `like`.
BISSL_API TensorList unflatten(const at::Tensor& flat, const TensorList& like);
/// The unit vector of element `index` of all, in the shapes of `like`.
BISSL_API TensorList unit_vector(int64_t index, const TensorList& like);

}  // namespace bissl
