#include "models/precision.h"

#include "bissl/autocast.h"
#include "bissl/error.h"

#include <array>

namespace bissl::host {
namespace {

thread_local PrecisionScope* innermost_precision = nullptr;

struct NamedPrecision {
  Precision precision;
  const char* name;
};

constexpr std::array named_precisions = {NamedPrecision{Precision::fp32, "fp32"},
                                         NamedPrecision{Precision::bf16, "bf16"},
                                         NamedPrecision{Precision::fp16, "fp16"}};

}  // namespace

const char* to_string(Precision precision) {
  return named_precisions.at(static_cast<size_t>(precision)).name;
}

Precision precision_named(const std::string& text) {
  for (const NamedPrecision& one : named_precisions) {
    if (text == one.name) {
      return one.precision;
    }
  }
  fail_run("there is no precision \"{}\"", text);
}

PrecisionScope::PrecisionScope(Precision passes, Precision hypergradients)
    : passes_(passes), hypergradients_(hypergradients), outer_(innermost_precision) {
  innermost_precision = this;
}

PrecisionScope::~PrecisionScope() { innermost_precision = outer_; }

HypergradientPrecision::HypergradientPrecision()
    : scope_(precision_of_hypergradients(), precision_of_hypergradients()) {}

Precision precision_of_passes() {
  return innermost_precision == nullptr ? Precision::fp32 : innermost_precision->passes_;
}

Precision precision_of_hypergradients() {
  return innermost_precision == nullptr ? Precision::fp32 : innermost_precision->hypergradients_;
}

LossScale* loss_scale() {
  return precision_of_passes() == Precision::fp16 ? &innermost_precision->loss_scale_ : nullptr;
}

TensorList in_precision(const at::Tensor& images, const std::function<TensorList()>& pass) {
  const Precision precision = precision_of_passes();
  if (precision == Precision::fp32 || images.scalar_type() != at::kFloat) {
    return pass();
  }
  TensorList outputs;
  {
    const AutocastScope autocast(images.device().type(),
                                 {.enabled = true,
                                  .type = precision == Precision::bf16 ? at::kBFloat16 : at::kHalf,
                                  .cached = false});
    outputs = pass();
  }
  for (at::Tensor& output : outputs) {
    output = output.to(at::kFloat);
  }
  return outputs;
}

}  // namespace bissl::host
