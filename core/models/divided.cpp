#include "models/divided.h"

#include "bissl/divided_batch.h"
#include "bissl/hash.h"
#include "distributed/process_group.h"
#include "models/batch_statistics.h"
#include "models/evaluation_guard.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>

namespace bissl::host {
namespace {

int undivided = 0;

void add_up(at::Tensor& values) {
  if (values.is_cpu()) {
    current_group()->sum(values);
    return;
  }
  at::Tensor on_cpu = values.cpu();
  current_group()->sum(on_cpu);
  values.copy_(on_cpu);
}

/// Sums of the parts, for forward and backward passes.
const std::shared_ptr<const DividedBatch::Sum>& shared_sum() {
  static const auto sum = std::make_shared<const DividedBatch::Sum>(add_up);
  return sum;
}

/// Gives processes other than 0 random streams of their own.
class OwnStream {
 public:
  explicit OwnStream(const ProcessGroup& group) : group_(group), common_(generator_state()) {
    if (group_.rank() > 0) {
      const int64_t rank = group_.rank();
      Hasher hasher;
      hasher.update(common_.data_ptr(), common_.nbytes()).update(&rank, sizeof(rank));
      seed_generator(std::stoull(hasher.hex().substr(0, 16), nullptr, 16));
    }
    begin_ = group_.rank() > 0 ? generator_state() : common_;
  }

  /// Back to one state for all: the one before if nothing was drawn, else process 0's.
  void join() {
    at::Tensor state = generator_state();
    if (at::equal(state, begin_)) {
      state = common_;
    } else {
      current_group()->broadcast(state);
    }
    if (group_.rank() > 0) {
      set_generator_state(state);
    }
  }

 private:
  const ProcessGroup& group_;
  at::Tensor common_;
  at::Tensor begin_;
};

}  // namespace

bool batches_are_divided() {
  const ProcessGroup* const group = current_group();
  return group != nullptr && group->size() > 1 && undivided == 0;
}

Undivided::Undivided() { ++undivided; }
Undivided::~Undivided() { --undivided; }

void average_over_processes(TensorList& gradients) {
  const c10::NoGradGuard no_grad;
  std::map<std::pair<at::ScalarType, bool>, std::vector<size_t>> alike;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) {
      alike[{gradients[i].scalar_type(), gradients[i].is_cpu()}].push_back(i);
    }
  }
  const double share = 1.0 / current_group()->size();
  for (const auto& [type, places] : alike) {
    TensorList flat;
    for (const size_t i : places) {
      flat.push_back(gradients[i].reshape({-1}));
    }
    at::Tensor all = at::cat(flat);
    add_up(all);
    all.mul_(share);
    int64_t begin = 0;
    for (const size_t i : places) {
      gradients[i].copy_(all.narrow(0, begin, gradients[i].numel()).view_as(gradients[i]));
      begin += gradients[i].numel();
    }
  }
}

at::Tensor BatchPart::of(const at::Tensor& rows) const {
  return rows.defined() ? rows.narrow(0, first, count) : rows;
}

BatchPart part_of(int64_t samples, int rank, int size) {
  const int64_t first = samples * rank / size;
  return {.first = first, .count = samples * (rank + 1) / size - first};
}

/// Each process adds zeros for the rows of the others.
at::Tensor rows_of_all(const at::Tensor& rows, const BatchPart& part, int64_t samples) {
  std::vector<int64_t> shape = rows.sizes().vec();
  const auto zeros = [&](int64_t count) {
    shape[0] = count;
    return at::zeros(shape, rows.options());
  };
  return sum_over_parts(
      at::cat({zeros(part.first), rows, zeros(samples - part.first - part.count)}));
}

namespace {

/// A pass of this process's part, with the statistics that are chosen.
TensorList pass_of_part(const BatchPart& part, int64_t samples,
                        const std::function<torch::nn::Module&()>& backbone,
                        const std::function<TensorList(const BatchPart&)>& forward) {
  if (batch_statistics() == BatchStatistics::synchronised) {
    const DividedBatch scope(shared_sum());
    return forward(part);
  }
  PartBuffers buffers(backbone());
  const DividedBatch scope(nullptr);
  TensorList outputs = forward(part);
  buffers.join(static_cast<double>(part.count) / static_cast<double>(samples), *shared_sum());
  return outputs;
}

}  // namespace

TensorList in_parts(int64_t samples, const std::function<torch::nn::Module&()>& backbone,
                    const std::function<TensorList(const BatchPart&)>& forward) {
  if (!batches_are_divided() || samples < current_group()->size()) {
    return forward({.first = 0, .count = samples});
  }
  ProcessGroup& group = *current_group();
  const BatchPart part = part_of(samples, group.rank(), group.size());
  OwnStream stream(group);
  TensorList outputs = pass_of_part(part, samples, backbone, forward);
  stream.join();
  const DividedBatch scope(shared_sum());
  for (at::Tensor& output : outputs) {
    output = rows_of_all(output, part, samples);
  }
  return outputs;
}

}  // namespace bissl::host
