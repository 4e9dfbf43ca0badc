#pragma once

#include "bissl/image.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// A module of TorchScript as one of LibTorch: its parameters and buffers under their names.
///
/// The interpreter runs it without its optimisations, operation by operation, so that derivatives
/// of any order are those of the operations and no call differs from another.
class TorchScriptModule : public torch::nn::Module {
 public:
  /// Reads the file; weights become single precision on the CPU. Throws Error(input) where it
  /// cannot be read, holds no module of TorchScript, or one without weights to train, or two
  /// weights that share memory.
  explicit TorchScriptModule(std::string file);

  /// Finds features() with images of this shape, in training mode and back, and whether there are
  /// second derivatives. Buffers stay as they are. Throws Error(input) with what the module
  /// refuses, or what its result is instead of features.
  void try_out(const ImageShape& input);

  /// (N, C, H, W) → (N, features()); a map's mean over its places. Throws Error(run) with what the
  /// module refuses, and Error(input) where several processes divide a batch over which it
  /// normalises.
  at::Tensor forward(const at::Tensor& images);

  int64_t features() const { return features_; }

  /// Also for the modules inside, where they have a mode.
  void train(bool on = true) override;

 private:
  void take_over(const torch::jit::Module& from, torch::nn::Module& to, const std::string& prefix);
  void take_over_weight(const at::Tensor& weight, const std::string& name);
  at::Tensor features_of(const at::Tensor& images);
  void require_second_derivatives(const at::Tensor& images);

  std::string file_;
  torch::jit::Module script_;
  int64_t features_ = 0;
  bool has_running_statistics_ = false;
  std::vector<std::pair<const void*, std::string>> weights_;  ///< their memory and names
};

}  // namespace bissl
