#include "models/module_state.h"

#include "bissl/error.h"

#include <fmt/ranges.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <map>

namespace bissl::host {
namespace {

bool has(const NamedTensors& state, const std::string& name) {
  return std::any_of(state.begin(), state.end(),
                     [&](const auto& entry) { return entry.name == name; });
}

}  // namespace

NamedTensors trainable_parameters(const torch::nn::Module& module) {
  NamedTensors parameters;
  for (const auto& entry : module.named_parameters()) {
    if (entry.value().requires_grad()) {
      parameters.emplace_back(entry.key(), entry.value());
    }
  }
  return parameters;
}

TensorList tensors_of(const NamedTensors& named) {
  TensorList tensors;
  tensors.reserve(named.size());
  for (const auto& entry : named) {
    tensors.push_back(entry.tensor);
  }
  return tensors;
}

std::map<std::string, at::Tensor> by_name(const NamedTensors& named) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : named) {
    tensors.emplace(name, tensor);
  }
  return tensors;
}

NamedTensors module_state(const torch::nn::Module& module) {
  NamedTensors state;
  for (const auto& entry : module.named_parameters()) {
    state.emplace_back(entry.key(), entry.value().detach());
  }
  for (const auto& entry : module.named_buffers()) {
    state.emplace_back(entry.key(), entry.value());
  }
  return state;
}

StateShapes shapes_of(const NamedTensors& state) {
  StateShapes shapes;
  for (const auto& [name, tensor] : state) {
    shapes.emplace_back(name, tensor.sizes().vec());
  }
  return shapes;
}

void require_shapes(const StateShapes& given, const StateShapes& own, const std::string& what) {
  std::map<std::string, std::vector<int64_t>> left(given.begin(), given.end());
  for (const auto& [name, shape] : own) {
    const auto found = left.find(name);
    if (found == left.end()) {
      fail_input("{}: there is no \"{}\", which the network has", what, name);
    }
    if (found->second != shape) {
      fail_input("{}: \"{}\" has shape [{}], the network's has [{}]", what, name,
                 fmt::join(found->second, ", "), fmt::join(shape, ", "));
    }
    left.erase(found);
  }
  if (!left.empty()) {
    fail_input("{}: \"{}\" is not part of the network", what, left.begin()->first);
  }
}

void load_module_state(torch::nn::Module& module, const NamedTensors& state,
                       const std::string& what) {
  const at::NoGradGuard no_grad;
  NamedTensors own = module_state(module);
  require_shapes(shapes_of(state), shapes_of(own), what);
  const std::map<std::string, at::Tensor> given = by_name(state);
  for (auto& [name, tensor] : own) {
    tensor.copy_(given.at(name));
  }
}

namespace {

/// Numbers of a tensor that are neither whole nor finite.
int64_t count_not_finite(const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  return tensor.is_floating_point() || tensor.is_complex()
             ? tensor.numel() - at::isfinite(tensor.detach()).sum().item<int64_t>()
             : 0;
}

}  // namespace

std::string first_not_finite(const torch::nn::Module& module, const std::set<std::string>& exempt) {
  for (const auto& [name, tensor] : module_state(module)) {
    const int64_t bad = exempt.count(name) == 0 ? count_not_finite(tensor) : 0;
    if (bad > 0) {
      return fmt::format("\"{}\" ({} of {} numbers are not finite)", name, bad, tensor.numel());
    }
  }
  return "";
}

std::set<std::string> buffers_not_finite(const torch::nn::Module& module) {
  std::set<std::string> found;
  for (const auto& entry : module.named_buffers()) {
    if (count_not_finite(entry.value()) > 0) {
      found.insert(entry.key());
    }
  }
  return found;
}

void set_training(torch::nn::Module& module, bool training) { module.train(training); }

bool is_training(const torch::nn::Module& module) { return module.is_training(); }

void move_to(torch::nn::Module& module, c10::Device device) { module.to(device); }

void convert_precision(torch::nn::Module& module, at::ScalarType type) {
  const at::NoGradGuard no_grad;
  const auto convert = [type](at::Tensor tensor) {
    if (tensor.is_floating_point()) {
      tensor.set_data(tensor.to(type));
    } else if (tensor.is_complex()) {
      tensor.set_data(tensor.to(c10::toComplexType(type)));
    }
  };
  for (const at::Tensor& parameter : module.parameters()) {
    convert(parameter);
  }
  for (const at::Tensor& buffer : module.buffers()) {
    convert(buffer);
  }
}

void convert_to_double(torch::nn::Module& module) { convert_precision(module, at::kDouble); }

void copy_state(const torch::nn::Module& from, torch::nn::Module& to) {
  const at::NoGradGuard no_grad;
  const NamedTensors source = module_state(from);
  NamedTensors target = module_state(to);
  // Names and shapes first, so that what does not fit leaves the target as it was.
  for (size_t i = 0; i < std::max(source.size(), target.size()); ++i) {
    if (i >= source.size() || i >= target.size() || source[i].name != target[i].name) {
      const std::string& name =
          i < target.size() && (i >= source.size() || !has(source, target[i].name))
              ? target[i].name
              : source[i].name;
      fail_run(
          "\"{}\" is a parameter or buffer of one instance and not of another. Names are fixed "
          "when "
          "the factory returns: register everything there",
          name);
    }
    if (source[i].tensor.sizes() != target[i].tensor.sizes()) {
      fail_run(
          "\"{}\" has shape [{}] in one instance and [{}] in another. Shapes are fixed when the "
          "factory returns: give it the final shape there",
          source[i].name, fmt::join(source[i].tensor.sizes(), ", "),
          fmt::join(target[i].tensor.sizes(), ", "));
    }
  }
  for (size_t i = 0; i < source.size(); ++i) {
    target[i].tensor.copy_(source[i].tensor);
  }
}

}  // namespace bissl::host
