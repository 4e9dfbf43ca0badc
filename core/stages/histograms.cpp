#include "stages/histograms.h"

#include <ATen/ops/histc.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

#include <vector>

namespace bissl::host {

nlohmann::json histogram_of(const at::Tensor& tensor) {
  constexpr int64_t buckets = 30;
  const c10::NoGradGuard no_grad;
  const at::Tensor numbers = tensor.detach().reshape({-1}).cpu().to(at::kDouble);
  if (numbers.numel() == 0 || !at::isfinite(numbers).all().item<bool>()) {
    return {};
  }
  const double low = numbers.min().item<double>();
  const double high = numbers.max().item<double>();
  std::vector<double> limits = {high};
  std::vector<double> counts = {static_cast<double>(numbers.numel())};
  if (low < high) {
    const at::Tensor found = at::histc(numbers, buckets, low, high).contiguous();
    counts.assign(found.data_ptr<double>(), found.data_ptr<double>() + buckets);
    limits.resize(buckets);
    for (int64_t i = 0; i < buckets; ++i) {
      limits[static_cast<size_t>(i)] =
          i + 1 == buckets ? high
                           : low + (high - low) * static_cast<double>(i + 1) / double(buckets);
    }
  }
  return {{"min", low},
          {"max", high},
          {"num", numbers.numel()},
          {"sum", numbers.sum().item<double>()},
          {"squares", numbers.square().sum().item<double>()},
          {"limits", limits},
          {"counts", counts}};
}

void add_histograms(const std::string& network, const NamedTensors& parameters,
                    nlohmann::json& all) {
  const auto add = [&](const std::string& tag, const at::Tensor& tensor) {
    if (nlohmann::json histogram = histogram_of(tensor); !histogram.is_null()) {
      all[tag] = std::move(histogram);
    }
  };
  for (const auto& [name, tensor] : parameters) {
    add("weights/" + network + "." + name, tensor);
    if (tensor.grad().defined()) {
      add("gradients/" + network + "." + name, tensor.grad());
    }
  }
}

}  // namespace bissl::host
