#pragma once

#include "bissl/tensor_list.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bissl::host {

// Gradients of a divided batch that processes add up while their backward pass runs. Parameters are
// put into buckets, those that a backward pass reaches first into the first one. A bucket is added
// up from when the gradients of all its parameters are there and the buckets before it have begun:
// so all processes begin with the same buckets in the same order, whatever each of them waits for.

/// Bytes that a bucket holds at most, unless a single parameter has more.
inline constexpr int64_t bucket_bytes = int64_t{8} << 20;

/// Places in a list of parameters.
using GradientBucket = std::vector<size_t>;

/// The buckets in which gradients in `parameters` are averaged, in the order in which they begin:
/// from the last parameter to the first, of one type each and of up to `bytes`. Empty where all fit
/// into one, which has nothing to run beside, and where it cannot be: batches are not divided, the
/// group cannot start sums, or the parameters are not distinct leaves on the CPU, floats or
/// doubles.
std::vector<GradientBucket> buckets_of(const TensorList& parameters, int64_t bytes = bucket_bytes);

/// The mean over the processes of the gradients that each finds of `loss`, as gradients_of gives
/// it, averaged in these buckets, which have each parameter once. The parameters' grad() is
/// afterwards what it was. Throws ProcessLost, and what the backward pass throws.
TensorList mean_gradients(const at::Tensor& loss, const TensorList& parameters,
                          const std::vector<GradientBucket>& buckets);

}  // namespace bissl::host
