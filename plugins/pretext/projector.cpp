#include "projector.h"

#include "bissl/modules.h"

#include <torch/nn/modules/activation.h>

namespace bissl {

torch::nn::Sequential make_projector(int64_t features, const std::vector<int64_t>& widths,
                                     bool last_bias) {
  namespace nn = torch::nn;
  nn::Sequential layers;
  int64_t in = features;
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    layers->push_back(Linear(in, widths[i]));
    layers->push_back(BatchNorm(widths[i]));
    layers->push_back(nn::ReLU());
    in = widths[i];
  }
  layers->push_back(Linear(nn::LinearOptions(in, widths.back()).bias(last_bias)));
  return layers;
}

}  // namespace bissl
