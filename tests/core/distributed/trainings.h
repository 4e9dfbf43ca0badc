#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace bissl::host::test {

/// 50 steps of a training in double precision, by this process or by all of the current group:
/// "TASK" is a pretraining on that pretext task, of 6 steps for most; "bissl/APPROXIMATOR" 25 lower
/// and 25 upper steps, "finetune" a training with labels. With "local/" in front, processes take
/// statistics of their parts; with "library/", backbones normalise by LibTorch's own module.
/// Batches have 7 samples, so parts have several sizes. The weights and buffers that it ends with,
/// in a row.
at::Tensor weights_after(const std::string& training);

/// The same by this process alone, with statistics of as many parts as `parts` processes have.
at::Tensor weights_after_parts(const std::string& training, int parts);

/// The weights that all of them begin with: of the backbone alone.
at::Tensor weights_before();

/// What a forward pass with noise of the backbone's own leaves: the features of all samples, and a
/// number that is drawn afterwards.
at::Tensor noisy_features();

/// The gradients of a loss on a divided batch, one parameter of which it does not reach: in the
/// first row averaged after the backward pass, in the second one in buckets while it runs.
at::Tensor gradients_both_ways();

}  // namespace bissl::host::test
