#include "swin_windows.h"

#include <ATen/ops/zeros.h>

namespace bissl {

at::Tensor WindowSide::parts(int64_t window) const {
  at::Tensor part = at::zeros({padded}, at::kFloat);
  if (shift > 0) {
    part.narrow(0, padded - window, window - shift).fill_(1);
    part.narrow(0, padded - shift, shift).fill_(2);
  }
  return part;
}

at::Tensor cut_into_windows(const at::Tensor& x, int64_t window) {
  const int64_t rows = x.size(1) / window;
  const int64_t columns = x.size(2) / window;
  return x.reshape({x.size(0), rows, window, columns, window, x.size(3)})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({-1, window * window, x.size(3)});
}

at::Tensor put_windows_together(const at::Tensor& x, int64_t window, int64_t height,
                                int64_t width) {
  return x.reshape({-1, height / window, width / window, window, window, x.size(2)})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({-1, height, width, x.size(2)});
}

}  // namespace bissl
