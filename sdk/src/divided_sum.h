#pragma once

#include "bissl/divided_batch.h"

#include <torch/custom_class.h>

#include <memory>
#include <utility>

namespace bissl {

using SharedSum = std::shared_ptr<const DividedBatch::Sum>;

/// That of the innermost scope on this thread; null outside of any.
const SharedSum& sum_of_scope();

/// What a backward pass needs of the scope that its forward pass was made in.
struct SumHolder : public torch::CustomClassHolder {
  explicit SumHolder(SharedSum held) : sum(std::move(held)) {}
  SharedSum sum;

  static c10::IValue hold(const SharedSum& sum) {
    return c10::IValue::make_capsule(c10::make_intrusive<SumHolder>(sum));
  }
  static SharedSum held_in(const c10::IValue& value) {
    return static_cast<const SumHolder&>(*value.toCapsule()).sum;
  }
};

}  // namespace bissl
