#pragma once

#include "bissl/tensor_list.h"
#include "weights/torch_file.h"

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// A tensor of a file, without its numbers.
struct StoredTensor {
  std::string name;
  c10::ScalarType type = c10::ScalarType::Undefined;
  std::vector<int64_t> shape;
  size_t place = 0;  ///< in what the file holds; WeightsFile's own
};

/// A dictionary in a file that holds tensors under names: a state_dict.
struct StateDict {
  std::string path;  ///< the keys that lead to it, with dots: "state_dict"; empty: the file's top
  std::vector<StoredTensor> tensors;  ///< in the order of the file; each name once

  /// Null if there is none of that name.
  const StoredTensor* find(const std::string& name) const;
};

/// A file of weights by whatever program: safetensors, or what torch.save writes. It comes
/// from outside, and nothing in it is executed.
class WeightsFile {
 public:
  /// Throws Error(input) that names the file and says what is wrong.
  explicit WeightsFile(std::filesystem::path file);

  /// "safetensors", "PyTorch", "PyTorch before 1.6".
  const char* format() const;
  /// All dictionaries with tensors that can be reached by keys that are texts, from the top down.
  const std::vector<StateDict>& dicts() const { return dicts_; }
  /// Null if there is none at that path.
  const StateDict* dict(const std::string& path) const;
  /// The text keys at the file's top.
  const std::set<std::string>& keys() const { return keys_; }
  /// Classes of which the file holds objects that are not read: "argparse.Namespace".
  const std::set<std::string>& opaque() const { return opaque_; }

  /// The numbers of a tensor of this file; memory for its shape is taken. Throws Error(input).
  at::Tensor read(const StoredTensor& tensor) const;

 private:
  void read_torch();
  void read_safetensors();
  void collect(const PickleTree& tree);
  [[noreturn]] void refuse_top(const PickleTree& tree) const;

  std::filesystem::path file_;
  std::unique_ptr<TorchFile> torch_;
  NamedTensors tensors_;  ///< of a safetensors file
  std::vector<StateDict> dicts_;
  std::set<std::string> keys_;
  std::set<std::string> opaque_;
};

/// Element types and how many tensors have them, in words: "122 float32, 20 int64".
std::string types_text(const std::vector<StoredTensor>& tensors);

}  // namespace bissl::host
