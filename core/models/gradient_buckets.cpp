#include "models/gradient_buckets.h"

#include "distributed/process_group.h"
#include "distributed/started_sum.h"
#include "models/divided.h"
#include "models/gradients.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <torch/autograd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <utility>

namespace bissl::host {
namespace {

int64_t gradient_bytes(const at::Tensor& tensor) {
  return tensor.numel() * static_cast<int64_t>(tensor.element_size());
}

StartsSums* starter_of_sums() { return dynamic_cast<StartsSums*>(current_group()); }

/// Whether a backward pass can say when the gradient of each is there, and it can be added up.
bool can_be_in_buckets(const TensorList& parameters) {
  std::set<const void*> seen;
  return std::all_of(parameters.begin(), parameters.end(), [&](const at::Tensor& parameter) {
    const at::ScalarType type = parameter.scalar_type();
    return parameter.is_leaf() && parameter.requires_grad() && parameter.is_cpu() &&
           (type == at::kFloat || type == at::kDouble) &&
           seen.insert(parameter.unsafeGetTensorImpl()).second;
  });
}

/// Parameters without a gradient while it lives, so that a backward pass adds to none; then what
/// they had before.
class GradientsAside {
 public:
  explicit GradientsAside(const TensorList& parameters) : parameters_(parameters) {
    for (const at::Tensor& parameter : parameters_) {
      before_.push_back(std::exchange(parameter.mutable_grad(), at::Tensor()));
    }
  }
  ~GradientsAside() {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i].mutable_grad() = before_[i];
    }
  }
  GradientsAside(const GradientsAside&) = delete;
  GradientsAside& operator=(const GradientsAside&) = delete;

 private:
  const TensorList& parameters_;
  TensorList before_;
};

/// Called by a backward pass when it has given a parameter its gradient.
class AfterGradient final : public torch::autograd::FunctionPostHook {
 public:
  explicit AfterGradient(std::function<void()> call) : call_(std::move(call)) {}
  torch::autograd::variable_list operator()(
      const torch::autograd::variable_list& outputs,
      const torch::autograd::variable_list& /*inputs*/) override {
    call_();
    return outputs;
  }

 private:
  std::function<void()> call_;
};

/// While it lives, `call` is called with the place of each parameter that gets its gradient, by
/// backward() and not by grad().
class GradientWatch {
 public:
  GradientWatch(const TensorList& parameters, const std::function<void(size_t place)>& call) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      nodes_.push_back(torch::autograd::impl::grad_accumulator(parameters[i]));
      keys_.push_back(
          nodes_.back()->add_post_hook(std::make_unique<AfterGradient>([call, i] { call(i); })));
    }
  }
  ~GradientWatch() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      nodes_[i]->del_post_hook(keys_[i]);
    }
  }
  GradientWatch(const GradientWatch&) = delete;
  GradientWatch& operator=(const GradientWatch&) = delete;

 private:
  std::vector<std::shared_ptr<torch::autograd::Node>> nodes_;
  std::vector<uintptr_t> keys_;
};

/// The means of one backward pass.
class MeansInBuckets {
 public:
  MeansInBuckets(const TensorList& parameters, const std::vector<GradientBucket>& buckets)
      : parameters_(parameters),
        bucket_of_(parameters.size()),
        is_there_(parameters.size(), false),
        starter_(*starter_of_sums()) {
    for (size_t number = 0; number < buckets.size(); ++number) {
      buckets_.push_back({.places = buckets[number], .missing = buckets[number].size()});
      for (const size_t place : buckets[number]) {
        bucket_of_[place] = number;
      }
    }
  }

  /// The parameter at that place has its gradient.
  void arrived(size_t place) {
    if (!is_there_[place]) {
      is_there_[place] = true;
      --buckets_[bucket_of_[place]].missing;
      while (next_ < buckets_.size() && buckets_[next_].missing == 0) {
        start(buckets_[next_++]);
      }
    }
  }

  /// To be called when the backward pass is over: a parameter that has no gradient by then has the
  /// gradient zero.
  TensorList finished() {
    const c10::NoGradGuard no_grad;
    while (next_ < buckets_.size()) {
      start(buckets_[next_++]);
    }
    TensorList means;
    means.reserve(parameters_.size());
    for (const at::Tensor& parameter : parameters_) {
      means.push_back(parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter));
    }
    own_memory(means);
    const double share = 1.0 / current_group()->size();
    for (Bucket& bucket : buckets_) {
      bucket.sum->wait();
      bucket.values.mul_(share);
      int64_t begin = 0;
      for (const size_t place : bucket.places) {
        at::Tensor& mean = means[place];
        mean.copy_(bucket.values.narrow(0, begin, mean.numel()).view_as(mean));
        begin += mean.numel();
      }
    }
    return means;
  }

 private:
  struct Bucket {
    GradientBucket places;
    size_t missing = 0;   ///< parameters whose gradients are not there
    at::Tensor values{};  ///< of all places, in a row
    std::unique_ptr<StartedSum> sum{};
  };

  void start(Bucket& bucket) {
    const c10::NoGradGuard no_grad;
    TensorList rows;
    rows.reserve(bucket.places.size());
    for (const size_t place : bucket.places) {
      const at::Tensor& gradient = parameters_[place].grad();
      rows.push_back(
          (gradient.defined() ? gradient : at::zeros_like(parameters_[place])).reshape({-1}));
    }
    bucket.values = at::cat(rows);
    bucket.sum = starter_.start_sum(bucket.values);
  }

  const TensorList& parameters_;
  std::vector<size_t> bucket_of_;
  std::vector<bool> is_there_;
  std::vector<Bucket> buckets_;
  size_t next_ = 0;  ///< the first bucket that has not begun
  StartsSums& starter_;
};

}  // namespace

std::vector<GradientBucket> buckets_of(const TensorList& parameters, int64_t bytes) {
  if (!batches_are_divided() || starter_of_sums() == nullptr || !can_be_in_buckets(parameters)) {
    return {};
  }
  std::vector<GradientBucket> buckets;
  int64_t held = 0;
  for (size_t i = parameters.size(); i-- > 0;) {
    const at::Tensor& parameter = parameters[i];
    const bool fits = !buckets.empty() && held + gradient_bytes(parameter) <= bytes &&
                      parameters[buckets.back().back()].scalar_type() == parameter.scalar_type();
    if (!fits) {
      buckets.emplace_back();
      held = 0;
    }
    buckets.back().push_back(i);
    held += gradient_bytes(parameter);
  }
  return buckets.size() > 1 ? buckets : std::vector<GradientBucket>();
}

TensorList mean_gradients(const at::Tensor& loss, const TensorList& parameters,
                          const std::vector<GradientBucket>& buckets) {
  const GradientsAside aside(parameters);
  MeansInBuckets means(parameters, buckets);
  {
    const GradientWatch watch(parameters, [&](size_t place) { means.arrived(place); });
    torch::autograd::backward({loss}, /*grad_tensors=*/{}, /*retain_graph=*/false,
                              /*create_graph=*/false, parameters);
  }
  return means.finished();
}

}  // namespace bissl::host
