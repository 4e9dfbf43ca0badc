#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>

#include <cstdint>
#include <vector>

namespace bissl {

/// What a DINO head is made of.
struct DinoHeadOptions {
  std::vector<int64_t> hidden = {2048, 2048};
  int64_t bottleneck = 256;
  int64_t prototypes = 65536;
  bool batch_norm = false;
  bool scale_prototypes = false;
};

/// Layers with GELU, a bottleneck whose outputs have length 1, and behind it a linear layer without
/// bias whose rows have length 1, or a trained one each (weight normalisation, Salimans and Kingma
/// 2016, arXiv 1602.07868, equation 2). Caron et al. 2021, arXiv 2104.14294, appendix C.
class DinoHeadImpl : public torch::nn::Module {
 public:
  DinoHeadImpl(int64_t features, const DinoHeadOptions& options);

  /// (N, features) → (N, prototypes). `frozen`: the last layer gets no gradient.
  at::Tensor forward(const at::Tensor& features, bool frozen = false);

 private:
  torch::nn::Sequential layers_;
  at::Tensor direction_;  ///< (prototypes, bottleneck)
  at::Tensor length_;     ///< (prototypes, 1); undefined where all are 1
};
TORCH_MODULE(DinoHead);

}  // namespace bissl
