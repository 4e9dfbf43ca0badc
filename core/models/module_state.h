#pragma once

#include "bissl/tensor_list.h"

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl::host {

/// The parameters of a module that require gradients, with their names.
NamedTensors trainable_parameters(const torch::nn::Module& module);

/// The same without names, in the same order.
TensorList tensors_of(const NamedTensors& named);

/// The same tensors, by name.
std::map<std::string, at::Tensor> by_name(const NamedTensors& named);

/// All parameters and buffers of a module, by name: everything that it is. The tensors are the
/// module's own, not copies.
NamedTensors module_state(const torch::nn::Module& module);

/// Names and shapes of parameters and buffers.
using StateShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;
StateShapes shapes_of(const NamedTensors& state);

/// What a stage hands on to those that continue it: the state of each module, by its file.
using HandedOn = std::map<std::string, StateShapes>;

/// Throws Error(ErrorKind::input), with `what` in front, unless state of the shapes `given` can be
/// loaded into a network that has `own`.
void require_shapes(const StateShapes& given, const StateShapes& own, const std::string& what);

/// Copies `state` into the module. Throws Error(ErrorKind::input), with `what` in front, when a
/// name is missing or unknown or a shape differs; the module is then unchanged.
void load_module_state(torch::nn::Module& module, const NamedTensors& state,
                       const std::string& what);

/// The first parameter or buffer that holds a number that is not finite, with how many of its
/// numbers are: "\"fc.weight\" (3 of 640 numbers are not finite)". Buffers named in `exempt` and
/// whole numbers do not count. Empty if there is none.
std::string first_not_finite(const torch::nn::Module& module,
                             const std::set<std::string>& exempt = {});

/// The buffers that hold a number that is not finite: those that are made so, such as a mask or the
/// start of a minimum.
std::set<std::string> buffers_not_finite(const torch::nn::Module& module);

/// Puts the module and its children into training or evaluation mode.
void set_training(torch::nn::Module& module, bool training);
bool is_training(const torch::nn::Module& module);

/// Puts the parameters and buffers that hold real or complex numbers into another precision.
/// Integers and truth values (counters, indices, masks) stay what they are.
void convert_precision(torch::nn::Module& module, c10::ScalarType type);
/// The same for double precision.
void convert_to_double(torch::nn::Module& module);

/// Copies parameters and buffers from one module into another of the same structure, converting
/// them to its precision. Throws Error(ErrorKind::run) when a name or a shape differs; the target
/// is then unchanged.
void copy_state(const torch::nn::Module& from, torch::nn::Module& to);

/// Moves all parameters and buffers.
void move_to(torch::nn::Module& module, c10::Device device);

}  // namespace bissl::host
