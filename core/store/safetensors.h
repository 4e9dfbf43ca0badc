#pragma once

#include "bissl/tensor_list.h"

#include <filesystem>
#include <map>
#include <string>

namespace bissl::host {

/// Files in the safetensors format (https://github.com/huggingface/safetensors), which Python's
/// library reads and writes too: an 8-byte length, a JSON header, the bytes of all tensors.
/// Element types: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL.

struct SafetensorsFile {
  NamedTensors tensors;  ///< on the CPU, in the header's order
  std::map<std::string, std::string> metadata;
};

/// Writes the file atomically. The header keeps the order of `tensors`, and so does reading; the
/// bytes are laid out by decreasing size of the element, since Python's library needs every tensor
/// aligned and the format allows no gaps. Tensors of any device and strides are written as dense
/// CPU tensors. Throws Error(run) for what the format cannot hold (another element type, an
/// undefined or sparse tensor, a name that occurs twice or is not UTF-8) and when the file cannot
/// be written.
void write_safetensors(const std::filesystem::path& file, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Reads a file that nobody vouches for: everything in it is checked against the size of the file
/// before memory is taken. Throws Error(input) that names the file and what is wrong.
SafetensorsFile read_safetensors(const std::filesystem::path& file);

/// The tensor as write_safetensors stores it: detached, on the CPU, dense and contiguous. Shares
/// memory with `tensor` when that is so already. Throws Error(run) when the format cannot hold it.
at::Tensor to_storable(const std::string& name, const at::Tensor& tensor);

}  // namespace bissl::host
