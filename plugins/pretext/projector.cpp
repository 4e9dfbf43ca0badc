#include "projector.h"

#include "bissl/modules.h"

#include <torch/nn/modules/activation.h>

namespace bissl {
namespace {

std::string layers_between(const ProjectorForm& form) {
  if (!form.normalise) {
    return "ReLU follows all but the last; there is no batch normalisation";
  }
  if (form.last != ProjectorForm::LastNorm::none) {
    return "batch normalisation follows all, ReLU all but the last";
  }
  return std::string("batch normalisation and ReLU follow all but the last") +
         (form.last_bias ? "" : ", which has neither bias nor normalisation");
}

}  // namespace

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

std::string projector_text(const ProjectorForm& form, Heads heads) {
  return std::string("widths of the projector's layers") +
         (heads == Heads::with_teacher ? ", student's and teacher's; " : "; ") +
         layers_between(form);
}

std::vector<int64_t> followed_by(std::vector<int64_t> hidden, int64_t width) {
  hidden.push_back(width);
  return hidden;
}

}  // namespace bissl
