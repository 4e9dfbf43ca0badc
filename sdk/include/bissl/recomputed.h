#pragma once

#include "bissl/export.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace torch::nn {
class Module;
}

namespace bissl {

/// `forward(input)` without keeping what lies between: each backward pass computes it once more
/// (activation checkpointing; Chen et al. 2016, arXiv 1604.06174, section 3). Cut a network into
/// its blocks, and a training step keeps one tensor for each of them and the inside of one.
///
/// `forward` reads no parameters but those of `layer`, has one result that is made of `input`, and
/// keeps nothing from one call to the next but in `layer`'s buffers. Derivatives of any order are
/// those of forward(input): a second derivative computes the first one again, block by block, so a
/// graph that is kept for Hessian products holds no more than a training step's. Repetitions leave
/// no trace: they draw the random numbers of the first call again, run in its modes and its parts
/// of a divided batch, and buffers and generators are afterwards as they were before.
///
/// Calls `forward` and nothing else where no gradient is wanted, and while a LayerRecorder lives on
/// this thread, which notes layers with their graph. Throws what `forward` throws; a backward pass
/// throws c10::Error where a parameter was changed in place in between. Threads: that of the
/// forward pass of the network.
BISSL_API at::Tensor recomputed(const std::shared_ptr<torch::nn::Module>& layer,
                                const at::Tensor& input,
                                std::function<at::Tensor(const at::Tensor&)> forward);

}  // namespace bissl
