#include "queue.h"

#include "vectors.h"

#include "bissl/error.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

namespace bissl {

VectorQueue::VectorQueue(torch::nn::Module& task, int64_t length, int64_t width)
    : rows_(task.register_buffer("queue", unit(at::randn({length, width})))),
      next_(task.register_buffer("queue_next", at::zeros({}, at::kLong))) {}

void VectorQueue::push(const at::Tensor& rows) {
  const c10::NoGradGuard no_grad;
  const at::Tensor places =
      (at::arange(rows.size(0), next_.options()) + next_).remainder(rows_.size(0));
  rows_.index_copy_(0, places, rows.detach());
  next_.add_(rows.size(0)).remainder_(rows_.size(0));
}

void VectorQueue::require_room(const char* task, int64_t samples) const {
  require_queue_holds(task, rows_.size(0), samples);
}

void require_queue_holds(const char* task, int64_t length, int64_t batch) {
  if (batch > length) {
    fail_input("{}: queue = {} does not hold a batch of {} samples. Take a longer queue", task,
               length, batch);
  }
}

void require_queue_fits(const char* task, int64_t length, const PretextContext& context) {
  if (length > context.samples) {
    fail_input(
        "{}: queue = {} is longer than the data, which has {} samples: samples would be compared "
        "with themselves. Take a shorter queue",
        task, length, context.samples);
  }
  require_queue_holds(task, length, context.batch);
  require_queue_holds(task, length, context.hessian_batch);
}

}  // namespace bissl
