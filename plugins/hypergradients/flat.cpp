#include "flat.h"

#include <ATen/ops/cat.h>

namespace bissl {

int64_t count(const TensorList& list) {
  int64_t elements = 0;
  for (const at::Tensor& tensor : list) {
    elements += tensor.numel();
  }
  return elements;
}

at::Tensor flatten(const TensorList& list) {
  TensorList rows;
  for (const at::Tensor& tensor : list) {
    rows.push_back(tensor.detach().reshape(-1).to(at::kCPU, at::kDouble));
  }
  return at::cat(rows);
}

TensorList unflatten(const at::Tensor& flat, const TensorList& like) {
  TensorList list;
  int64_t start = 0;
  for (const at::Tensor& tensor : like) {
    list.push_back(
        flat.narrow(0, start, tensor.numel()).reshape(tensor.sizes()).to(tensor.options()).clone());
    start += tensor.numel();
  }
  return list;
}

TensorList unit_vector(int64_t index, const TensorList& like) {
  TensorList unit = zeros_like(like);
  for (at::Tensor& tensor : unit) {
    if (index < tensor.numel()) {
      tensor.view(-1)[index].fill_(1.0);
      break;
    }
    index -= tensor.numel();
  }
  return unit;
}

}  // namespace bissl
