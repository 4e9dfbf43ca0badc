#include "models/memory_format.h"

#include <atomic>

namespace bissl::host {
namespace {

std::atomic<bool> with_channels_last = false;

}  // namespace

void set_channels_last(bool wanted) { with_channels_last = wanted; }

bool channels_last() { return with_channels_last; }

at::Tensor in_memory_format(const at::Tensor& images) {
  if (!channels_last() || images.dim() != 4 ||
      images.suggest_memory_format() == at::MemoryFormat::ChannelsLast) {
    return images;
  }
  // Images of one channel are contiguous in both formats, and their strides are those of the other.
  return images.clone(at::MemoryFormat::ChannelsLast);
}

}  // namespace bissl::host
