#include "data/device_queue.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace bissl::host {
namespace {

void keep_for(const at::Tensor& tensor, const c10::Stream& stream) {
  if (tensor.defined() && tensor.device().type() == stream.device_type()) {
    tensor.record_stream(stream);
  }
}

}  // namespace

DeviceQueue::DeviceQueue(c10::Device device) {
  if (!device.is_cpu()) {
    stream_ = c10::impl::getDeviceGuardImpl(device.type())->getStreamFromGlobalPool(device);
    guard_.emplace(*stream_);
  }
}

std::optional<c10::Event> DeviceQueue::mark() const {
  std::optional<c10::Event> here;
  if (stream_) {
    here.emplace(stream_->device_type());
    here->record(*stream_);
  }
  return here;
}

void take_over(const Batch& batch, const std::optional<c10::Event>& ready) {
  if (!ready) {
    return;
  }
  const c10::Stream stream =
      c10::impl::getDeviceGuardImpl(ready->device_type())->getStream(ready->device());
  ready->block(stream);
  for (const at::Tensor& view : batch.views) {
    keep_for(view, stream);
  }
  for (const at::Tensor& geometry : batch.geometry) {
    keep_for(geometry, stream);
  }
  keep_for(batch.targets.dense, stream);
  keep_for(batch.indices, stream);
}

}  // namespace bissl::host
