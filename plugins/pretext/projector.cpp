#include "projector.h"

#include "bissl/modules.h"

#include <torch/nn/modules/activation.h>

namespace bissl {

torch::nn::Sequential make_projector(int64_t features, const std::vector<int64_t>& widths,
                                     const ProjectorForm& form) {
  namespace nn = torch::nn;
  nn::Sequential layers;
  int64_t in = features;
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    layers->push_back(Linear(in, widths[i]));
    if (form.normalise) {
      layers->push_back(BatchNorm(widths[i]));
    }
    layers->push_back(nn::ReLU());
    in = widths[i];
  }
  layers->push_back(Linear(nn::LinearOptions(in, widths.back()).bias(form.last_bias)));
  if (form.last != ProjectorForm::LastNorm::none) {
    const bool affine = form.last == ProjectorForm::LastNorm::affine;
    layers->push_back(BatchNorm(nn::BatchNormOptions(widths.back()).affine(affine)));
  }
  return layers;
}

std::vector<int64_t> followed_by(std::vector<int64_t> hidden, int64_t width) {
  hidden.push_back(width);
  return hidden;
}

}  // namespace bissl
