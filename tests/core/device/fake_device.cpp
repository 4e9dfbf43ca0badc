#include "fake_device.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/Storage.h>
#include <c10/core/TensorImpl.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <mutex>
#include <set>
#include <sstream>
#include <utility>

namespace bissl::host::test {
namespace {

using torch::jit::Stack;

std::mutex use_mutex;
DeviceUse use;

template <class Change>
void note(Change&& change) {
  const std::lock_guard lock(use_mutex);
  change(use);
}

bool is_on_device(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == fake_device.type();
}

/// Memory that the processor has allocated, as the device's.
c10::Storage as_device_memory(const c10::Storage& host) {
  auto* const owner = new c10::Storage(host);
  return c10::Storage(
      c10::Storage::use_byte_size_t(), host.nbytes(),
      c10::DataPtr(
          host.data_ptr().get(), owner,
          [](void* owned) { delete static_cast<c10::Storage*>(owned); }, fake_device));
}

/// A tensor in `memory`, with type, shape and place of another one.
at::Tensor tensor_in(c10::Storage memory, c10::DispatchKey key, const at::Tensor& like) {
  at::Tensor result = at::detail::make_tensor<c10::TensorImpl>(
      std::move(memory), c10::DispatchKeySet(key), like.dtype());
  result.unsafeGetTensorImpl()->set_storage_offset(like.storage_offset());
  result.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides());
  return result;
}

/// One operation of the device, done by the processor on the same memory.
class HostCall {
 public:
  /// An argument for the processor's operation.
  c10::IValue argument(const c10::IValue& value) {
    if (value.isTensor()) {
      return c10::IValue(argument(value.toTensor()));
    }
    if (value.isDevice()) {
      return c10::IValue(value.toDevice().type() == fake_device.type() ? c10::Device(c10::kCPU)
                                                                       : value.toDevice());
    }
    return in_list(value, [this](const c10::IValue& element) { return argument(element); });
  }

  /// What the operation has resized is so on the device too.
  void finish() {
    for (Memory& memory : memories_) {
      if (memory.host.data_ptr().get() != memory.device.data_ptr().get()) {
        memory.device = as_device_memory(memory.host);
        memory.moved = true;
      }
    }
    for (const Alias& alias : aliases_) {
      c10::TensorImpl* const tensor = alias.device.unsafeGetTensorImpl();
      if (memories_[alias.memory].moved) {
        tensor->set_storage_keep_dtype(memories_[alias.memory].device);
      }
      if (alias.device.sizes() != alias.host.sizes() ||
          alias.device.strides() != alias.host.strides()) {
        tensor->set_storage_offset(alias.host.storage_offset());
        tensor->set_sizes_and_strides(alias.host.sizes(), alias.host.strides());
      }
    }
  }

  /// A result of the processor's operation for the device's caller, after finish().
  c10::IValue result(const c10::IValue& value) const {
    if (value.isTensor()) {
      return c10::IValue(result(value.toTensor()));
    }
    return in_list(value, [this](const c10::IValue& element) { return result(element); });
  }

  /// Tensors of the processor among the arguments.
  const std::vector<std::string>& strangers() const { return strangers_; }

 private:
  struct Memory {
    c10::Storage device;
    c10::Storage host;
    bool moved = false;
  };
  struct Alias {
    at::Tensor device;
    at::Tensor host;
    size_t memory;
  };

  template <class Convert>
  static c10::IValue in_list(const c10::IValue& value, const Convert& convert) {
    if (!value.isList()) {
      return value;
    }
    const auto elements = value.toListRef();
    bool has_tensors = false;
    for (const c10::IValue& element : elements) {
      has_tensors = has_tensors || element.isTensor();
    }
    if (!has_tensors) {
      return value;
    }
    c10::List<c10::IValue> list = value.toList().copy();
    for (size_t i = 0; i < list.size(); ++i) {
      list.set(i, convert(elements[i]));
    }
    return c10::IValue(std::move(list));
  }

  at::Tensor argument(const at::Tensor& tensor) {
    if (!is_on_device(tensor)) {
      if (tensor.defined() && tensor.dim() > 0) {
        std::ostringstream text;
        text << tensor.sizes() << " on " << tensor.device();
        strangers_.push_back(text.str());
      }
      return tensor;
    }
    const size_t memory = memory_of(tensor);
    aliases_.push_back({.device = tensor,
                        .host = tensor_in(memories_[memory].host, c10::DispatchKey::CPU, tensor),
                        .memory = memory});
    return aliases_.back().host;
  }

  size_t memory_of(const at::Tensor& tensor) {
    const c10::Storage& device = tensor.storage();
    for (size_t i = 0; i < memories_.size(); ++i) {
      if (memories_[i].device.unsafeGetStorageImpl() == device.unsafeGetStorageImpl()) {
        return i;
      }
    }
    c10::Storage host(c10::Storage::use_byte_size_t(), device.nbytes(),
                      c10::DataPtr(device.data_ptr().get(), c10::kCPU), c10::GetCPUAllocator(),
                      /*resizable=*/true);
    memories_.push_back({.device = device, .host = std::move(host)});
    return memories_.size() - 1;
  }

  at::Tensor result(const at::Tensor& tensor) const {
    if (!tensor.defined()) {
      return tensor;
    }
    for (const Alias& alias : aliases_) {
      if (alias.host.is_same(tensor)) {
        return alias.device;
      }
    }
    for (const Memory& memory : memories_) {
      if (memory.host.unsafeGetStorageImpl() == tensor.storage().unsafeGetStorageImpl()) {
        return tensor_in(memory.device, c10::DispatchKey::XPU, tensor);
      }
    }
    return tensor_in(as_device_memory(tensor.storage()), c10::DispatchKey::XPU, tensor);
  }

  std::vector<Memory> memories_;
  std::vector<Alias> aliases_;
  std::vector<std::string> strangers_;
};

std::string name_of(const c10::OperatorHandle& operation) {
  const c10::FunctionSchema& schema = operation.schema();
  return schema.overload_name().empty() ? schema.name()
                                        : schema.name() + "." + schema.overload_name();
}

/// Whether a device is waited for: it has to tell a number or the shape of the result.
bool waits_for_device(const std::string& operation) {
  static const std::set<std::string> asking = {
      "aten::_local_scalar_dense",
      "aten::_unique2",
      "aten::bincount",
      "aten::equal",
      "aten::masked_select",
      "aten::nonzero",
      "aten::unique_consecutive",
      "aten::unique_dim",
      "aten::repeat_interleave.Tensor",
  };
  return asking.count(operation) != 0;
}

/// Any operation of the device that has none of its own below.
void run_on_host(const c10::OperatorHandle& operation, Stack* stack) {
  HostCall call;
  const size_t arguments = operation.schema().arguments().size();
  const size_t first = stack->size() - arguments;
  for (size_t i = first; i < stack->size(); ++i) {
    (*stack)[i] = call.argument((*stack)[i]);
  }
  const std::string name = name_of(operation);
  note([&](DeviceUse& all) {
    ++all.operations;
    for (const std::string& stranger : call.strangers()) {
      all.mixed.push_back(name + ": " + stranger);
    }
    if (waits_for_device(name)) {
      all.waits.push_back(name);
    }
  });
  operation.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  call.finish();
  for (size_t i = first; i < stack->size(); ++i) {
    (*stack)[i] = call.result((*stack)[i]);
  }
}

/// The same memory, as the processor's.
at::Tensor on_host(const at::Tensor& tensor) {
  return HostCall().argument(c10::IValue(tensor)).toTensor();
}

void copy_memory(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  const bool down = !is_on_device(to);
  const bool up = !is_on_device(from);
  note([&](DeviceUse& all) {
    ++all.operations;
    if (down || (up && !non_blocking)) {
      all.waits.push_back(down ? "a copy from the device" : "a copy to the device");
    }
  });
  on_host(to).copy_(on_host(from));
}

at::Tensor& copy_into(at::Tensor& self, const at::Tensor& source, bool non_blocking) {
  copy_memory(source, self, non_blocking);
  return self;
}

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& target, bool non_blocking) {
  copy_memory(self, target, non_blocking);
  return target;
}

void keep_for_stream(const c10::OperatorHandle& /*operation*/, Stack* stack) {
  torch::jit::drop(*stack, 2);  // the tensor and the stream
  note([](DeviceUse& all) { ++all.recorded; });
}

thread_local int64_t current_stream = 0;

/// The device's streams, in each of which things are done at once.
class FakeGuard final : public c10::impl::DeviceGuardImplInterface {
 public:
  c10::DeviceType type() const override { return fake_device.type(); }
  c10::Device exchangeDevice(c10::Device /*device*/) const override { return fake_device; }
  c10::Device getDevice() const override { return fake_device; }
  void setDevice(c10::Device /*device*/) const override {}
  void uncheckedSetDevice(c10::Device /*device*/) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }

  c10::Stream getStream(c10::Device /*device*/) const noexcept override {
    return stream(current_stream);
  }
  c10::Stream getDefaultStream(c10::Device /*device*/) const override { return stream(0); }
  c10::Stream getStreamFromGlobalPool(c10::Device /*device*/,
                                      bool /*high_priority*/) const override {
    static std::atomic<int64_t> last = 0;
    return stream(++last);
  }
  c10::Stream exchangeStream(c10::Stream next) const noexcept override {
    return stream(std::exchange(current_stream, next.id()));
  }

  void record(void** event, const c10::Stream& of, const c10::DeviceIndex /*index*/,
              const c10::EventFlag /*flag*/) const override {
    *event = new int64_t(of.id());
    note([&](DeviceUse& all) { all.streams.push_back("record " + std::to_string(of.id())); });
  }
  void block(void* /*event*/, const c10::Stream& waiting) const override {
    note([&](DeviceUse& all) { all.streams.push_back("block " + std::to_string(waiting.id())); });
  }
  void destroyEvent(void* event, const c10::DeviceIndex /*index*/) const noexcept override {
    delete static_cast<int64_t*>(event);
  }

 private:
  static c10::Stream stream(int64_t number) {
    return c10::Stream(c10::Stream::UNSAFE, fake_device, number);
  }
};

/// LibTorch keeps it to the end.
const c10::impl::DeviceGuardImplRegistrar guard(fake_device.type(), new FakeGuard);

}  // namespace

DeviceUse take_device_use() {
  const std::lock_guard lock(use_mutex);
  return std::exchange(use, {});
}

TORCH_LIBRARY_IMPL(_, XPU, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

TORCH_LIBRARY_IMPL(aten, XPU, library) {
  library.impl("copy_", &copy_into);
  library.impl("_copy_from", &copy_from);
  library.impl("record_stream", torch::CppFunction::makeFromBoxedFunction<&keep_for_stream>());
  // LibTorch's own would choose a library by the device, and there is none.
  for (const char* convolution : {"convolution", "_convolution", "convolution_backward"}) {
    library.impl(convolution, torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
  }
}

}  // namespace bissl::host::test
