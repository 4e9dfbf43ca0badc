#include "cli/run_settings.h"

#include "bissl/error.h"
#include "data/planned_views.h"
#include "models/evaluation_guard.h"
#include "models/memory_format.h"

#include <ATen/Context.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace bissl::host {
namespace {

int devices_of(c10::DeviceType type) {
  return c10::impl::hasDeviceGuardImpl(type)
             ? static_cast<int>(c10::impl::getDeviceGuardImpl(type)->deviceCount())
             : 0;
}

/// "cpu", "cpu, cuda:0, cuda:1"
std::string available_devices() {
  std::string text = "cpu";
  for (int i = 0; i < devices_of(c10::kCUDA); ++i) {
    text += fmt::format(", cuda:{}", i);
  }
  return text;
}

[[noreturn]] void refuse_device(const std::string& text, const std::string& why) {
  fail_input("--device {}: {}; available here: {}", text, why, available_devices());
}

/// Lets LibTorch compute on a GPU as the arguments say.
void choose_arithmetic(const c10::Device& device, const PipelineArguments& arguments) {
  if (!device.is_cuda()) {
    for (const auto& [option, given] : {std::pair("--tf32", arguments.tf32),
                                        {"--deterministic", arguments.deterministic},
                                        {"--cpu-views", !views_on_devices()},
                                        {"--channels-last", channels_last()}}) {
      if (given) {
        fail_input(
            "{} is for --device cuda, and this run computes on {}. Leave it out, or choose a GPU",
            option, device.str());
      }
    }
    return;
  }
  at::Context& context = at::globalContext();
  context.setAllowTF32CuBLAS(arguments.tf32);
  context.setAllowTF32CuDNN(arguments.tf32);
  if (arguments.deterministic) {
    // cuBLAS reads it when it starts, and LibTorch refuses its products without it.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*replace=*/0);
    context.setDeterministicCuDNN(true);
    context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  }
}

}  // namespace

c10::Device checked_device(const std::string& text) {
  std::optional<c10::Device> device;
  try {
    device = c10::Device(text);
  } catch (const c10::Error&) {
    refuse_device(text, "not a device; expected cpu, cuda or cuda:N");
  }
  if (device->type() != c10::kCPU && device->type() != c10::kCUDA) {
    refuse_device(text, "this program runs on cpu and cuda only");
  }
  if (device->is_cpu() && device->index() > 0) {
    refuse_device(text, "there is one cpu, whose threads --threads sets");
  }
  const int found = devices_of(device->type());
  if (device->is_cuda() && found == 0) {
    refuse_device(text, c10::impl::hasDeviceGuardImpl(c10::kCUDA)
                            ? "LibTorch finds no CUDA device"
                            : "this LibTorch was built without CUDA");
  }
  if (device->is_cuda() && device->index() >= found) {
    refuse_device(text, fmt::format("there are {} CUDA devices, numbered from 0", found));
  }
  return device->is_cuda() && !device->has_index() ? c10::Device(c10::kCUDA, 0) : *device;
}

RunSettings make_settings(const PipelineArguments& arguments, std::ostream* progress) {
  RunSettings settings;
  settings.device = checked_device(arguments.device);
  choose_arithmetic(settings.device, arguments);
  set_generator_device(settings.device);
  const int threads = set_threads(arguments.threads);
  settings.loader_threads = std::max(1, threads / 4);
  settings.most_threads = arguments.choose_threads ? threads : 0;
  if (progress != nullptr) {
    settings.progress = [progress](Progress::Plan plan) {
      return std::make_unique<Progress>(*progress, ProgressStyle::of(STDERR_FILENO),
                                        std::move(plan));
    };
  }
  return settings;
}

}  // namespace bissl::host
