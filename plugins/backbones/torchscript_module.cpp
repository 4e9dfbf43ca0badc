#include "torchscript_module.h"

#include "bissl/divided_batch.h"
#include "bissl/error.h"
#include "bissl/tensor_list.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/sin.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

namespace bissl {
namespace {

namespace fs = std::filesystem;

/// What an exception of LibTorch or its interpreter says, without the traces around it.
std::string reason_of(const std::exception& exception) {
  std::string text = exception.what();
  if (const auto* error = dynamic_cast<const c10::Error*>(&exception)) {
    text = error->what_without_backtrace();
  }
  for (const std::string mark : {"RuntimeError: ", "torch.jit.Error: "}) {
    if (const size_t place = text.rfind(mark); place != std::string::npos) {
      text = text.substr(place + mark.size());
    }
  }
  text = text.substr(0, text.find('\n'));
  return text.empty() ? "it gives no reason" : text;
}

torch::jit::Module read(const std::string& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    fail_input("there is no file {}", file);
  }
  std::ifstream stream(file, std::ios::binary);
  std::string begin(4, '\0');
  if (!stream.read(begin.data(), 4) || begin != "PK\3\4") {
    fail_input("{} is no TorchScript file: it is no ZIP archive, as torch.jit.save writes", file);
  }
  try {
    return torch::jit::load(file, at::Device(at::kCPU));
  } catch (const std::exception& exception) {
    fail_input(
        "{} is no TorchScript file, or it is damaged: {}. torch.jit.save writes such files; "
        "weights by "
        "torch.save are read by a stage of kind \"import\"",
        file, reason_of(exception));
  }
}

/// Images without a pattern that a network could miss, the same each time.
at::Tensor trial_images(const ImageShape& input) {
  constexpr int64_t samples = 4;
  const std::vector<int64_t> shape{samples, input.channels, input.height, input.width};
  const int64_t count = samples * input.channels * input.height * input.width;
  return at::sin(at::arange(count, at::kFloat) * 1.7).reshape(shape);
}

/// Lets the buffers of a module be as they were.
class KeptBuffers {
 public:
  explicit KeptBuffers(const torch::nn::Module& module) : buffers_(module.buffers()) {
    for (const at::Tensor& buffer : buffers_) {
      values_.push_back(buffer.detach().clone());
    }
  }
  ~KeptBuffers() {
    for (size_t i = 0; i < buffers_.size(); ++i) {
      buffers_[i].set_data(values_[i]);
    }
  }
  KeptBuffers(const KeptBuffers&) = delete;
  KeptBuffers& operator=(const KeptBuffers&) = delete;

 private:
  TensorList buffers_;
  TensorList values_;
};

}  // namespace

TorchScriptModule::TorchScriptModule(std::string file)
    : file_(std::move(file)), script_(read(file_)) {
  try {
    take_over(script_, *this, "");
  } catch (const Error&) {
    throw;
  } catch (const std::exception& exception) {
    fail_input("the weights in {} cannot be taken over: {}", file_, reason_of(exception));
  }
  weights_.clear();
  bool trainable = false;
  for (const at::Tensor& parameter : parameters()) {
    trainable = trainable || parameter.requires_grad();
  }
  if (!trainable) {
    fail_input(
        "{} has no parameters of floating point that require a gradient, so there is nothing to "
        "train; a "
        "frozen module (torch.jit.freeze) has made constants of them",
        file_);
  }
}

void TorchScriptModule::take_over_weight(const at::Tensor& weight, const std::string& name) {
  if (weight.is_floating_point() && weight.scalar_type() != at::kFloat) {
    at::Tensor same = weight;
    same.set_data(weight.detach().to(at::kFloat));
  }
  if (weight.numel() == 0) {
    return;
  }
  for (const auto& [memory, other] : weights_) {
    if (memory == weight.data_ptr()) {
      fail_input("{}: {} and {} share their memory; give each weight its own", file_, other, name);
    }
  }
  weights_.emplace_back(weight.data_ptr(), name);
}

void TorchScriptModule::take_over(const torch::jit::Module& from, torch::nn::Module& to,
                                  const std::string& prefix) {
  for (const auto& parameter : from.named_parameters(/*recurse=*/false)) {
    take_over_weight(parameter.value, prefix + parameter.name);
    to.register_parameter(parameter.name, parameter.value, parameter.value.requires_grad());
  }
  for (const auto& buffer : from.named_buffers(/*recurse=*/false)) {
    if (buffer.value.defined()) {
      take_over_weight(buffer.value, prefix + buffer.name);
      to.register_buffer(buffer.name, buffer.value);
      has_running_statistics_ = has_running_statistics_ || buffer.name == "running_mean";
    }
  }
  for (const auto& child : from.named_children()) {
    const auto holder = to.register_module(child.name, std::make_shared<torch::nn::Module>());
    take_over(child.value, *holder, prefix + child.name + ".");
  }
}

void TorchScriptModule::train(bool on) {
  torch::nn::Module::train(on);
  for (torch::jit::Module module : script_.modules()) {
    if (module.hasattr("training")) {
      module.setattr("training", on);
    }
  }
}

at::Tensor TorchScriptModule::features_of(const at::Tensor& images) {
  const torch::jit::GraphOptimizerEnabledGuard as_written(false);
  const c10::IValue result = script_.forward({images});
  if (!result.isTensor()) {
    fail_input("the module in {} gives a {} and not one tensor of features", file_,
               result.tagKind());
  }
  const at::Tensor features = result.toTensor();
  const bool is_map = features.dim() == 4;
  if ((features.dim() != 2 && !is_map) || features.size(0) != images.size(0) ||
      !features.is_floating_point() || features.size(1) == 0) {
    fail_input(
        "the module in {} makes of images of shape {} a tensor of shape {} and type {}; features, "
        "(N, D), "
        "or maps, (N, D, H, W), of floating point are wanted",
        file_, c10::str(images.sizes()), c10::str(features.sizes()),
        c10::toString(features.scalar_type()));
  }
  return is_map ? features.mean({2, 3}) : features;
}

at::Tensor TorchScriptModule::forward(const at::Tensor& images) {
  if (has_running_statistics_ && is_training() && batch_is_divided()) {
    fail_input(
        "the module in {} normalises over batches, and TorchScript would do so over each process's "
        "part of one: run it on one process, or set batch_norm = \"local\" in the stage",
        file_);
  }
  at::Tensor features;
  try {
    features = features_of(images);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& exception) {
    fail_run("the module in {} fails with images of shape {}: {}", file_, c10::str(images.sizes()),
             reason_of(exception));
  }
  if (features.size(1) != features_) {
    fail_input(
        "the module in {} makes {} features of images of shape {}, and {} of those it was tried "
        "with",
        file_, features.size(1), c10::str(images.sizes()), features_);
  }
  return features;
}

void TorchScriptModule::require_second_derivatives(const at::Tensor& images) {
  const c10::AutoGradMode with_graph(true);
  TensorList weights;
  for (const at::Tensor& parameter : parameters()) {
    if (parameter.requires_grad()) {
      weights.push_back(parameter);
    }
  }
  const at::Tensor loss = features_of(images).square().mean();
  const TensorList first = torch::autograd::grad({loss}, weights, {}, true, true, true);
  at::Tensor along;
  for (const at::Tensor& gradient : first) {
    if (gradient.defined() && gradient.requires_grad()) {
      along = along.defined() ? along + gradient.square().sum() : gradient.square().sum();
    }
  }
  if (!along.defined()) {
    fail_input("it gives no gradient that can be differentiated again");
  }
  torch::autograd::grad({along}, weights, {}, false, false, true);
}

void TorchScriptModule::try_out(const ImageShape& input) {
  const at::Tensor images = trial_images(input);
  const KeptBuffers kept(*this);
  train(true);
  try {
    const c10::NoGradGuard no_grad;
    const at::Tensor features = features_of(images);
    if (!at::isfinite(features).all().item<bool>()) {
      fail_input("the module in {} makes features that are not finite", file_);
    }
    features_ = features.size(1);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& exception) {
    fail_input("the module in {} fails with images of {}x{} pixels in {} channels: {}", file_,
               input.height, input.width, input.channels, reason_of(exception));
  }
  try {
    require_second_derivatives(images);
  } catch (const std::exception& exception) {
    fail_input(
        "the module in {} is not twice differentiable, which a stage of kind \"bissl\" needs: {}",
        file_, reason_of(exception));
  }
}

}  // namespace bissl
