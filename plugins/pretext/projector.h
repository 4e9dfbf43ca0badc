#pragma once

#include <torch/nn/modules/container/sequential.h>

#include <cstdint>
#include <vector>

namespace bissl {

/// Linear layers of these widths behind `features` inputs; batch normalisation and ReLU follow all
/// but the last, which has a bias only if asked for.
torch::nn::Sequential make_projector(int64_t features, const std::vector<int64_t>& widths,
                                     bool last_bias = false);

}  // namespace bissl
