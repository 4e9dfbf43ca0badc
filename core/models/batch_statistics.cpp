#include "models/batch_statistics.h"

#include "bissl/error.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

namespace bissl::host {
namespace {

thread_local BatchStatistics statistics_of_now = BatchStatistics::synchronised;

}  // namespace

const char* to_string(BatchStatistics statistics) {
  return statistics == BatchStatistics::local ? "local" : "synchronised";
}

BatchStatistics batch_statistics_named(const std::string& text) {
  for (const BatchStatistics one : {BatchStatistics::synchronised, BatchStatistics::local}) {
    if (text == to_string(one)) {
      return one;
    }
  }
  fail_run("there are no batch statistics \"{}\"", text);
}

BatchStatisticsScope::BatchStatisticsScope(BatchStatistics statistics) : outer_(statistics_of_now) {
  statistics_of_now = statistics;
}

BatchStatisticsScope::~BatchStatisticsScope() { statistics_of_now = outer_; }

BatchStatistics batch_statistics() { return statistics_of_now; }

PartBuffers::PartBuffers(const torch::nn::Module& module) {
  if (!is_training(module)) {
    return;
  }
  for (const at::Tensor& buffer : module.buffers()) {
    if (buffer.defined() && buffer.is_floating_point() && buffer.numel() > 0) {
      buffers_.push_back(buffer);
      before_.push_back(buffer.detach().to(at::kDouble, /*non_blocking=*/false, /*copy=*/true));
    }
  }
}

void PartBuffers::join(double share, const DividedBatch::Sum& sum) {
  if (buffers_.empty()) {
    return;
  }
  const c10::NoGradGuard no_grad;
  TensorList changes;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    const at::Tensor now = buffers_[i].detach().to(at::kDouble);
    at::Tensor change = now - before_[i];
    change.masked_fill_(now.eq(before_[i]), 0.0);  // an infinite value less itself is no number
    changes.push_back(change.mul_(share).reshape({-1}));
  }
  at::Tensor all = at::cat(changes);
  sum(all);
  int64_t begin = 0;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    const int64_t numbers = before_[i].numel();
    const at::Tensor change = all.narrow(0, begin, numbers).view(before_[i].sizes());
    buffers_[i].variable_data().copy_(before_[i] + change);  // graphs check the version counters
    begin += numbers;
  }
}

}  // namespace bissl::host
