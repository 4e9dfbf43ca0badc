#pragma once

#include <ATen/core/Tensor.h>

namespace bissl::host {

/// Whether passes of backbones get their images with channels last in memory, in the whole process;
/// they do not unless it is switched on. For the start of the program.
void set_channels_last(bool wanted);
bool channels_last();

/// Images (N, C, H, W) as a pass of a backbone gets them: the same numbers, differentiable, in the
/// memory format that was chosen. A tensor of another number of dimensions is returned as it is.
at::Tensor in_memory_format(const at::Tensor& images);

}  // namespace bissl::host
