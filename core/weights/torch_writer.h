#pragma once

#include "bissl/tensor_list.h"

#include <filesystem>

namespace bissl::host {

/// Writes what torch.save writes of a state_dict: an ordered dictionary of tensors, protocol 2, in
/// a ZIP archive of stored records. PyTorch reads it by torch.load, with weights_only=True, too. Of
/// the same tensors it makes the same bytes.
///
/// Atomically. Tensors of any device and strides are written as dense ones. Throws Error(run) for
/// an element type that the format lacks here (those of safetensors are known), a name that occurs
/// twice, more than 4 GiB in all, and when the file cannot be written.
void write_torch_file(const std::filesystem::path& file, const NamedTensors& tensors);

}  // namespace bissl::host
