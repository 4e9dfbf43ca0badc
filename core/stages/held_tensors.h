#pragma once

#include "bissl/tensor_list.h"

namespace torch::nn {
class Module;
}

namespace bissl::host {

// What a training holds beside the batch of a step, in bytes of the processor's memory: that of its
// tensors which are there.

/// Of these tensors. Undefined ones and those of other devices take nothing.
double bytes_of_tensors(const TensorList& tensors);

/// Of a copy of a module: its parameters and buffers.
double bytes_of_copy(const torch::nn::Module& module);

/// Of the parameters' grad(), which a step leaves for the next one.
double bytes_of_gradients(const NamedTensors& parameters);

/// Seconds from which on a trial makes a pass only once (StageTrial::pass): the gradients that a
/// step leaves are then not there while it is tried.
inline constexpr double long_pass = 1.0;

}  // namespace bissl::host
