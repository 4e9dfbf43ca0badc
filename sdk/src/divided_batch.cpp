#include "bissl/divided_batch.h"

#include "divided_sum.h"
#include "library_batch_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace bissl {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
thread_local SharedSum sum_of_now;

/// y = Σ x over the processes, on each of them. With a scalar that is the sum of a scalar of each
/// process, the gradient in x on one process is the sum over all of those in y: the same operation.
struct SumOverParts : public Function<SumOverParts> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values,
                            const SharedSum& sum) {
    context->saved_data["sum"] = SumHolder::hold(sum);
    at::Tensor total = values.detach().clone(at::MemoryFormat::Contiguous);
    (*sum)(total);
    return total;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const SharedSum sum = SumHolder::held_in(context->saved_data["sum"]);
    return {SumOverParts::apply(gradients[0], sum), at::Tensor()};
  }
};

/// `sum`, after what a batch that is divided needs.
SharedSum prepared(SharedSum sum) {
  if (sum != nullptr) {
    divide_library_batch_norm();
  }
  return sum;
}

}  // namespace

const SharedSum& sum_of_scope() { return sum_of_now; }

bool batch_is_divided() { return sum_of_now != nullptr; }

at::Tensor sum_over_parts(const at::Tensor& values) {
  return sum_of_now == nullptr ? values : SumOverParts::apply(values, sum_of_now);
}

DividedBatch::DividedBatch(std::shared_ptr<const Sum> sum)
    : outer_(std::exchange(sum_of_now, prepared(std::move(sum)))) {}

DividedBatch::~DividedBatch() { sum_of_now = std::move(outer_); }

}  // namespace bissl
