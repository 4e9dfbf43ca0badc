#include "bissl/divided_batch.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <utility>

namespace bissl {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using SharedSum = std::shared_ptr<const DividedBatch::Sum>;

thread_local SharedSum sum_of_now;

/// What a backward pass needs of the scope that its forward pass was made in.
struct SumHolder : public torch::CustomClassHolder {
  explicit SumHolder(SharedSum held) : sum(std::move(held)) {}
  SharedSum sum;
};

/// y = Σ x over the processes, on each of them. With a scalar that is the sum of a scalar of each
/// process, the gradient in x on one process is the sum over all of those in y: the same operation.
struct SumOverParts : public Function<SumOverParts> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values,
                            const SharedSum& sum) {
    context->saved_data["sum"] = c10::IValue::make_capsule(c10::make_intrusive<SumHolder>(sum));
    at::Tensor total = values.detach().clone(at::MemoryFormat::Contiguous);
    (*sum)(total);
    return total;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto capsule = context->saved_data["sum"].toCapsule();
    const SharedSum sum = static_cast<const SumHolder&>(*capsule).sum;
    return {SumOverParts::apply(gradients[0], sum), at::Tensor()};
  }
};

}  // namespace

bool batch_is_divided() { return sum_of_now != nullptr; }

at::Tensor sum_over_parts(const at::Tensor& values) {
  return sum_of_now == nullptr ? values : SumOverParts::apply(values, sum_of_now);
}

DividedBatch::DividedBatch(std::shared_ptr<const Sum> sum)
    : outer_(std::exchange(sum_of_now, std::move(sum))) {}

DividedBatch::~DividedBatch() { sum_of_now = std::move(outer_); }

}  // namespace bissl
