#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace bissl {

/// The mean cross entropy of telling for each row of `queries` which row of `keys` is its own, that
/// of the same number, by inner products over a temperature (InfoNCE, van den Oord et al. 2018,
/// arXiv 1807.03748). Both are (N, D), rows of length 1.
at::Tensor info_nce(const at::Tensor& queries, const at::Tensor& keys, double temperature);

/// The decoupled contrastive loss (Yeh et al. 2022, arXiv 2110.06848, L_DC): NT-Xent
/// whose denominator lacks the positive pair; the mean over all 2·N embeddings. `first` and
/// `second` are (N, D), N ≥ 2, and are normalised here. With `sigma` a positive pair has the weight
/// 2 − exp(s/σ)/mean(exp(s/σ)), s its cosine (L_DCW).
at::Tensor decoupled_contrast(const at::Tensor& first, const at::Tensor& second, double temperature,
                              std::optional<double> sigma);

/// The supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, equation 2): rows of one
/// label are positives of each other. `rows` is (M, D), normalised here, `labels` (M), int64. Each
/// row needs another one of its label.
at::Tensor supervised_contrast(const at::Tensor& rows, const at::Tensor& labels,
                               double temperature);

}  // namespace bissl
