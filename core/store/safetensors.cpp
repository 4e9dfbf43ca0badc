#include "store/safetensors.h"

#include "base/atomic_file.h"
#include "bissl/error.h"
#include "store/safetensors_header.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <set>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and tensors are written as they lie in memory");

constexpr uint64_t length_size = 8;

/// Indices by decreasing size of the element, otherwise in order: every tensor is aligned then.
std::vector<size_t> layout_order(const NamedTensors& tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return tensors[a].tensor.element_size() > tensors[b].tensor.element_size();
  });
  return order;
}

void check_storable(const std::string& name, const at::Tensor& tensor) {
  if (!tensor.defined()) {
    fail_run("tensor \"{}\" is undefined and cannot be stored", name);
  }
  if (tensor.layout() != c10::kStrided) {
    fail_run("tensor \"{}\" is not dense and cannot be stored", name);
  }
  if (safetensors_name(tensor.scalar_type()) == nullptr) {
    fail_run("tensor \"{}\" has the element type {}, which safetensors lacks", name,
             c10::toString(tensor.scalar_type()));
  }
}

std::string checked_header(const NamedTensors& tensors,
                           const std::map<std::string, std::string>& metadata) {
  SafetensorsHeader header;
  header.metadata = metadata;
  std::set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    check_storable(name, tensor);
    if (name == "__metadata__" || !names.insert(name).second) {
      fail_run("two tensors, or a tensor and the metadata, are named \"{}\"", name);
    }
    SafetensorsEntry entry;
    entry.name = name;
    entry.type = tensor.scalar_type();
    entry.shape = tensor.sizes().vec();
    header.entries.push_back(std::move(entry));
  }
  uint64_t place = 0;
  for (const size_t index : layout_order(tensors)) {
    header.entries[index].begin = place;
    place += tensors[index].tensor.nbytes();
    header.entries[index].end = place;
  }
  return format_safetensors_header(header);
}

at::Tensor empty_tensor(const SafetensorsEntry& entry) {
  try {
    return at::empty(entry.shape, at::TensorOptions().dtype(entry.type));
  } catch (const c10::Error&) {
    fail_run("there is no memory for the {} bytes of tensor {}", entry.end - entry.begin,
             shown_name(entry.name));
  }
}

void check_booleans(const at::Tensor& tensor, const std::string& name) {
  const auto* bytes = static_cast<const uint8_t*>(tensor.data_ptr());
  const auto* end = bytes + tensor.numel();
  if (std::any_of(bytes, end, [](uint8_t byte) { return byte > 1; })) {
    fail_input("tensor {} is BOOL but holds bytes other than 0 and 1", shown_name(name));
  }
}

SafetensorsFile read_checked(const fs::path& file, const FileDescriptor& open) {
  const uint64_t size = size_of(open, file);
  uint64_t header_size = 0;
  if (size < length_size || read_at(open, &header_size, length_size, 0, file) < length_size) {
    fail_input("it has {} bytes, too few for a safetensors file; it has been cut short", size);
  }
  if (header_size > max_safetensors_header) {
    fail_input(
        "it says that its header has {} bytes, and at most {} are allowed; this is no "
        "safetensors file",
        header_size, max_safetensors_header);
  }
  if (header_size > size - length_size) {
    fail_input(
        "its header should have {} bytes, but only {} follow; it has been cut short, or is "
        "no safetensors file",
        header_size, size - length_size);
  }
  std::string text(header_size, '\0');
  text.resize(read_at(open, text.data(), text.size(), length_size, file));
  const uint64_t data_start = length_size + header_size;
  SafetensorsHeader header = parse_safetensors_header(text, size - data_start);

  SafetensorsFile content;
  content.metadata = std::move(header.metadata);
  for (const SafetensorsEntry& entry : header.entries) {
    at::Tensor tensor = empty_tensor(entry);
    const uint64_t bytes = entry.end - entry.begin;
    if (bytes > 0 &&
        read_at(open, tensor.data_ptr(), bytes, data_start + entry.begin, file) < bytes) {
      fail_input("it became shorter while it was read");
    }
    if (entry.type == c10::ScalarType::Bool) {
      check_booleans(tensor, entry.name);
    }
    content.tensors.emplace_back(entry.name, std::move(tensor));
  }
  return content;
}

}  // namespace

at::Tensor to_storable(const std::string& name, const at::Tensor& tensor) {
  check_storable(name, tensor);
  return tensor.detach().resolve_neg().cpu().contiguous();
}

void write_safetensors(const fs::path& file, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::string header_text;
  try {
    header_text = checked_header(tensors, metadata);
  } catch (const Error& error) {
    throw error.at(fmt::format("cannot write {}", file.string()));
  }

  AtomicFile atomic(file);
  const uint64_t header_size = header_text.size();
  atomic.write(&header_size, length_size);
  atomic.write(header_text);
  for (const size_t index : layout_order(tensors)) {
    // One at a time: a model on another device is never held twice as a whole.
    const at::Tensor stored = to_storable(tensors[index].name, tensors[index].tensor);
    atomic.write(stored.data_ptr(), stored.nbytes());
  }
  atomic.commit();
}

SafetensorsFile read_safetensors(const fs::path& file) {
  const FileDescriptor open = open_for_reading(file);
  try {
    return read_checked(file, open);
  } catch (const Error& error) {
    throw error.at(file.string());
  }
}

}  // namespace bissl::host
