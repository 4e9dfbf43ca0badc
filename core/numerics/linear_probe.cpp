#include "numerics/linear_probe.h"

#include "bissl/error.h"
#include "bissl/random.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bissl::host {
namespace {

using Schedule = ProbeProtocol::Schedule;
using Optimizer = ProbeProtocol::Optimizer;

constexpr double momentum = 0.9;

void require_samples(const at::Tensor& features, const at::Tensor& labels, int64_t classes) {
  if (features.dim() != 2 || labels.dim() != 1 || features.size(0) == 0 || labels.size(0) == 0 ||
      features.size(0) % labels.size(0) != 0) {
    fail_input(
        "a linear probe takes features (V·N, D) and labels (N) with V, N ≥ 1; these have {} "
        "dimensions with {} rows, and {} labels",
        features.dim(), features.dim() > 0 ? features.size(0) : 0, labels.numel());
  }
  if (!at::isfinite(features).all().item<bool>()) {
    fail_input(
        "the features of a linear probe are not all finite: the backbone that made them has "
        "diverged");
  }
  const auto lowest = labels.min().item<int64_t>();
  const auto highest = labels.max().item<int64_t>();
  if (lowest < 0 || highest >= classes) {
    fail_input("labels of a linear probe of {} classes are 0 … {}; these have {}", classes,
               classes - 1, lowest < 0 ? lowest : highest);
  }
}

LinearProbe drawn_start(const ProbeProtocol& protocol, int64_t classes, int64_t width,
                        uint64_t seed) {
  RandomStream stream(seed, "linear-probe/start");
  LinearProbe start{at::zeros({classes, width}, at::kDouble), at::zeros({classes}, at::kDouble)};
  const auto fill = [](at::Tensor& tensor, const auto& draw) {
    double* values = tensor.data_ptr<double>();
    std::generate(values, values + tensor.numel(), draw);
  };
  if (protocol.start_deviation > 0) {
    fill(start.weight, [&] { return protocol.start_deviation * stream.normal(); });
    return start;
  }
  const double bound = 1 / std::sqrt(static_cast<double>(width));
  fill(start.weight, [&] { return stream.uniform(-bound, bound); });
  fill(start.bias, [&] { return stream.uniform(-bound, bound); });
  return start;
}

/// Where a training is.
struct Place {
  int64_t epoch = 0;
  int64_t step = 0;   ///< in the epoch
  int64_t steps = 1;  ///< of an epoch
};

double rate_factor(const ProbeProtocol& protocol, const Place& place) {
  const auto falling = [](double share) { return (1 + std::cos(std::numbers::pi * share)) / 2; };
  const auto epochs = static_cast<double>(protocol.epochs);
  const auto epoch = static_cast<double>(place.epoch);
  switch (protocol.schedule) {
    case Schedule::steps:
      return place.epoch < 60 ? 1 : place.epoch < 80 ? 0.1 : 0.01;
    case Schedule::cosine_by_step: {
      const int64_t last = place.steps * protocol.epochs - 1;
      const int64_t now = place.epoch * place.steps + place.step;
      return falling(static_cast<double>(now) / static_cast<double>(std::max<int64_t>(last, 1)));
    }
    case Schedule::cosine_by_epoch:
      return falling(epoch / epochs);
    case Schedule::warmup_cosine: {
      constexpr double warmup = 10;
      const double now = epoch + static_cast<double>(place.step) / static_cast<double>(place.steps);
      return now < warmup ? now / warmup : falling((now - warmup) / (epochs - warmup));
    }
  }
  return 1;
}

/// BatchNorm1d(affine=False, eps=1e-6) with PyTorch's momentum of 0.1.
class Normalisation {
 public:
  explicit Normalisation(int64_t width)
      : mean_(at::zeros({width}, at::kDouble)), variance_(at::ones({width}, at::kDouble)) {}

  at::Tensor apply(const at::Tensor& batch) {
    const at::Tensor mean = batch.mean(0);
    const at::Tensor variance = batch.sub(mean).square().mean(0);
    const auto samples = static_cast<double>(batch.size(0));
    mean_.mul_(0.9).add_(mean, 0.1);
    variance_.mul_(0.9).add_(variance, 0.1 * samples / std::max(samples - 1, 1.0));
    return batch.sub(mean).div_(variance.add(epsilon).sqrt_());
  }

  /// The weights for features in their own scale.
  LinearProbe folded(const LinearProbe& probe) const {
    const at::Tensor weight = probe.weight.div(variance_.add(epsilon).sqrt_());
    return {weight, probe.bias.sub(weight.matmul(mean_))};
  }

 private:
  static constexpr double epsilon = 1e-6;
  at::Tensor mean_;
  at::Tensor variance_;
};

class Training {
 public:
  Training(const ProbeProtocol& protocol, const LinearProbe& start)
      : protocol_(protocol),
        probe_{start.weight.to(at::kDouble).clone(), start.bias.to(at::kDouble).clone()},
        weight_speed_(at::zeros_like(probe_.weight)),
        bias_speed_(at::zeros_like(probe_.bias)) {}

  void step(const at::Tensor& features, const at::Tensor& labels, double rate) {
    at::Tensor excess =
        at::softmax(at::addmm(probe_.bias, features, probe_.weight.t()), 1).contiguous();
    excess.scatter_add_(1, labels.unsqueeze(1),
                        at::full({excess.size(0), 1}, -1.0, excess.options()));
    excess.div_(static_cast<double>(excess.size(0)));
    at::Tensor slope = at::mm(excess.t(), features);
    if (protocol_.optimizer == Optimizer::lars) {
      constexpr double trust = 0.001;
      const double size = probe_.weight.norm().item<double>();
      const double steepness = slope.norm().item<double>();
      slope.mul_(size > 0 && steepness > 0 ? trust * size / steepness : 1.0);
    }
    weight_speed_.mul_(momentum).add_(slope);
    bias_speed_.mul_(momentum).add_(excess.sum(0));
    probe_.weight.sub_(weight_speed_, rate);
    probe_.bias.sub_(bias_speed_, rate);
  }

  const LinearProbe& probe() const { return probe_; }

 private:
  const ProbeProtocol& protocol_;
  LinearProbe probe_;
  at::Tensor weight_speed_;
  at::Tensor bias_speed_;
};

std::vector<ProbeProtocol> all_protocols() {
  constexpr const char* crops =
      "crops and flips that are drawn anew in each epoch: probe_views has a number of them";
  return {
      {"solo-learn",
       "SGD, rate 1.0·batch/256, momentum 0.9, batch 256, 100 epochs, the rate times 0.1 at epochs "
       "60 and 80, no weight decay",
       "solo-learn, scripts/linear/imagenet-100/simclr.yaml, solo/args/linear.py", crops, 1.0, true,
       256, false, 100, Schedule::steps, Optimizer::sgd, 0, false},
      {"lightly",
       "SGD, rate 0.1·batch/256, momentum 0.9, batch 256, 90 epochs, cosine by step without "
       "warm-up, no weight decay",
       "lightly, benchmarks/imagenet/resnet50/linear_eval.py; it reports the best of all epochs on "
       "the images that are scored, here it is the last",
       crops, 0.1, true, 256, true, 90, Schedule::cosine_by_step, Optimizer::sgd, 0, false},
      {"moco",
       "SGD, rate 30, momentum 0.9, batch 256, 100 epochs, the rate times 0.1 at epochs 60 and 80, "
       "no weight decay, weights from N(0, 0.01²)",
       "He et al. 2020, arXiv 1911.05722; moco, main_lincls.py", crops, 30, false, 256, false, 100,
       Schedule::steps, Optimizer::sgd, 0.01, false},
      {"dino",
       "SGD, rate 0.001·batch/256, momentum 0.9, batch 128 (one device's), 100 epochs, cosine by "
       "epoch, no weight decay, weights from N(0, 0.01²)",
       "Caron et al. 2021, arXiv 2104.14294; dino, eval_linear.py",
       "crops and flips, as the others do; the class tokens of a transformer's last four blocks "
       "beside each other",
       0.001, true, 128, false, 100, Schedule::cosine_by_epoch, Optimizer::sgd, 0.01, false},
      {"mae",
       "batch normalisation without scale and shift before the classifier, LARS, rate "
       "0.1·batch/256, batch 16384, 90 epochs, 10 of them warm-up, cosine by step, no weight "
       "decay, weights from N(0, 0.01²)",
       "He et al. 2022, arXiv 2111.06377, table 10; mae, main_linprobe.py", crops, 0.1, true, 16384,
       true, 90, Schedule::warmup_cosine, Optimizer::lars, 0.01, true},
  };
}

}  // namespace

const std::vector<ProbeProtocol>& probe_protocols() {
  static const std::vector<ProbeProtocol> all = all_protocols();
  return all;
}

const ProbeProtocol* probe_protocol(const std::string& name) {
  for (const ProbeProtocol& protocol : probe_protocols()) {
    if (name == protocol.name) {
      return &protocol;
    }
  }
  return nullptr;
}

LinearProbe fit_linear_probe(const at::Tensor& features, const at::Tensor& labels, int64_t classes,
                             const ProbeProtocol& protocol, uint64_t seed,
                             const std::optional<LinearProbe>& start) {
  const c10::NoGradGuard no_grad;
  require_samples(features, labels, classes);
  const at::Tensor values = features.detach().to(at::kCPU, at::kDouble);
  const at::Tensor truth = labels.to(at::kCPU, at::kLong).contiguous();
  const int64_t samples = truth.size(0);
  const int64_t views = values.size(0) / samples;
  const int64_t batch = std::min(protocol.batch, samples);
  const int64_t steps = protocol.drops_rest ? samples / batch : (samples + batch - 1) / batch;
  const double rate = protocol.rate * (protocol.scaled ? static_cast<double>(batch) / 256.0 : 1.0);
  Training training(protocol,
                    start ? *start : drawn_start(protocol, classes, values.size(1), seed));
  Normalisation normalisation(values.size(1));
  for (int64_t epoch = 0; epoch < protocol.epochs; ++epoch) {
    RandomStream stream(seed, "linear-probe/order", static_cast<uint64_t>(epoch));
    const at::Tensor order = at::tensor(permutation(stream, samples), at::kLong);
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t begin = step * batch;
      const at::Tensor rows = order.narrow(0, begin, std::min(batch, samples - begin));
      const at::Tensor chosen = values.index_select(0, rows.add(epoch % views * samples));
      training.step(protocol.normalised ? normalisation.apply(chosen) : chosen,
                    truth.index_select(0, rows),
                    rate * rate_factor(protocol, {epoch, step, steps}));
    }
  }
  return protocol.normalised ? normalisation.folded(training.probe()) : training.probe();
}

}  // namespace bissl::host
