#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// How a library or a paper trains a linear classifier on a frozen backbone: its settings, on
/// features that are computed once.
struct ProbeProtocol {
  /// The factor of the learning rate along the training.
  enum class Schedule {
    steps,            ///< a tenth from epoch 60 on, a hundredth from epoch 80 on
    cosine_by_step,   ///< from 1 at the first step to 0 at the last
    cosine_by_epoch,  ///< (1 + cos(π·e/E))/2 for the steps of epoch e
    warmup_cosine,    ///< at each step: linear from 0 over 10 epochs, then the cosine to 0
  };
  enum class Optimizer {
    sgd,   ///< with a momentum of 0.9
    lars,  ///< that of MoCo v3: trust coefficient 0.001 for weights, none for biases, momentum 0.9
  };

  const char* name;
  const char* settings;  ///< in words
  const char* source;
  const char* differs;  ///< what the original does that features of fixed views do not allow
  double rate;          ///< of an optimizer's step
  bool scaled;          ///< the rate is times batch/256
  int64_t batch;        ///< at most; all samples where there are fewer
  bool drops_rest;      ///< the last samples of an epoch, if they do not fill a batch
  int64_t epochs;
  Schedule schedule;
  Optimizer optimizer;
  /// Of the normal distribution that weights start from, with biases of 0; 0: PyTorch's, which is
  /// uniform in ±1/√D for both.
  double start_deviation;
  bool normalised;  ///< by the mean and variance of batches, as BatchNorm1d(affine=False, eps=1e-6)
};

/// "solo-learn", "lightly", "moco", "dino", "mae".
const std::vector<ProbeProtocol>& probe_protocols();

/// The protocol of that name; null for none.
const ProbeProtocol* probe_protocol(const std::string& name);

/// Logits x·Wᵀ + b of features x, in their own scale.
struct LinearProbe {
  at::Tensor weight;  ///< W (K, D), double
  at::Tensor bias;    ///< b (K), double
};

/// Trains a linear classifier of labels (N; int64, 0 … K − 1) on features (V·N, D; any real type)
/// of V views of each sample, row v·N + i being view v of sample i, by the mean cross entropy, as
/// the protocol says. Epoch e takes view e mod V of each sample, so that V epochs in a row see
/// other views, as crops drawn anew would be; `start`, if given, is what it starts from. What a
/// protocol normalises is part of the weights that are returned, by the running statistics. Works
/// in double precision on the CPU. A function of its arguments but for the order of sums, which
/// depends on the number of threads. Throws Error(ErrorKind::input) for no rows, sizes that differ,
/// labels out of range, features that are not finite.
LinearProbe fit_linear_probe(const at::Tensor& features, const at::Tensor& labels, int64_t classes,
                             const ProbeProtocol& protocol, uint64_t seed,
                             const std::optional<LinearProbe>& start = std::nullopt);

}  // namespace bissl::host
