#include "parts.h"

#include <ATen/ops/empty.h>

#include <vector>

namespace bissl {

at::Tensor drop_path(const at::Tensor& branch, double rate, bool training) {
  if (!training || rate <= 0) {
    return branch;
  }
  std::vector<int64_t> shape(size_t(branch.dim()), 1);
  shape[0] = branch.size(0);
  const double kept = 1 - rate;
  return branch * at::empty(shape, branch.options()).bernoulli_(kept).div_(kept);
}

double drop_path_rate(double rate, int64_t index, int64_t blocks) {
  return blocks > 1 ? rate * double(index) / double(blocks - 1) : 0.0;
}

}  // namespace bissl
