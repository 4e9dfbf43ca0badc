#pragma once

#include "bissl/tensor_list.h"

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl::host {

/// What a module is at one moment, to find out what a call does to it. The checks throw a Violation
/// that names the tensor. `whose` says in it whose module that is ("the backbone"), `call` what was
/// called since ("loss").
class ModuleRecord {
 public:
  ModuleRecord(const torch::nn::Module& module, std::string whose);

  /// Names, shapes and types of parameters and buffers. `other` may be another instance's module:
  /// `where` then says so.
  void require_same_structure(const torch::nn::Module& other, const std::string& where) const;

  /// The very tensors are in their places, and those that trained still do.
  void require_same_tensors(const std::string& call) const;

  enum class Part { parameters, trainable, all };
  /// The values of these, to the bit.
  void require_same_values(Part part, const std::string& call) const;

  /// Training or evaluation mode, of each submodule.
  void require_same_modes(const std::string& call) const;

  /// No gradients have been added to the parameters' own.
  void require_same_gradients(const std::string& call) const;

 private:
  struct Entry {
    std::string name;
    at::Tensor tensor;
    at::Tensor value;     ///< a copy
    at::Tensor gradient;  ///< a copy; undefined if there was none
    bool is_parameter = false;
    bool trains = false;
    std::vector<int64_t> shape;
    at::ScalarType type;
  };
  static std::vector<Entry> entries_of(const torch::nn::Module& module);
  static std::vector<std::pair<std::string, bool>> modes_of(const torch::nn::Module& module);

  const torch::nn::Module& module_;
  std::string whose_;
  std::vector<Entry> entries_;
  std::vector<std::pair<std::string, bool>> modes_;
};

/// Throws a Violation if a parameter is not finite, or a buffer holds NaN. Buffers may be infinite
/// (masks, the best so far).
void require_no_nan(const torch::nn::Module& module, const std::string& whose,
                    const std::string& when);

/// Whether two tensors hold the same bits; NaN equals itself.
bool same_bits(const at::Tensor& a, const at::Tensor& b);

}  // namespace bissl::host
