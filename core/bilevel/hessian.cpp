#include "bilevel/hessian.h"

#include "base/exception_text.h"
#include "models/divided.h"
#include "models/gradients.h"

#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <torch/autograd.h>

#include <regex>
#include <string>

namespace bissl::host {
namespace {

/// The operation that LibTorch names in "the derivative for 'x' is not implemented", in quotation
/// marks; for other messages all of it.
std::string operation_in(const std::string& message) {
  static const std::regex pattern("derivative for '?([A-Za-z0-9_:]+)'? is not implemented");
  std::smatch match;
  if (std::regex_search(message, match, pattern)) {
    return fmt::format("the operation \"{}\", which cannot be differentiated again",
                       match[1].str());
  }
  return message.substr(0, message.find('\n'));
}

}  // namespace

HessianOperator::HessianOperator(const at::Tensor& loss, TensorList parameters)
    : parameters_(std::move(parameters)), divided_(batches_are_divided()) {
  const at::AutoGradMode grad(true);
  gradients_ = torch::autograd::grad({loss}, parameters_, /*grad_outputs=*/{},
                                     /*retain_graph=*/true, /*create_graph=*/true,
                                     /*allow_unused=*/true);
}

TensorList HessianOperator::product(const TensorList& x) const {
  const at::AutoGradMode grad(true);
  // Rows without a graph (the loss is linear in them, or does not reach them) are zero.
  TensorList outputs;
  TensorList cotangents;
  for (size_t i = 0; i < gradients_.size(); ++i) {
    if (gradients_[i].defined() && gradients_[i].requires_grad()) {
      outputs.push_back(gradients_[i]);
      cotangents.push_back(x[i]);
    }
  }
  TensorList result;
  if (!outputs.empty()) {
    try {
      result = torch::autograd::grad(outputs, parameters_, cotangents, /*retain_graph=*/true,
                                     /*create_graph=*/false, /*allow_unused=*/true);
    } catch (const c10::Error& error) {
      if (is_out_of_memory(error)) {
        throw;
      }
      throw MissingDerivative(
          ErrorKind::input,
          fmt::format("the pretext loss has no second derivative, because of {}. Choose a backbone "
                      "and a loss that are twice differentiable, or a hypergradient approximator "
                      "that needs no Hessian",
                      operation_in(exception_text(error))));
    }
  }
  result.resize(parameters_.size());
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = result[i].defined() ? result[i].detach() : at::zeros_like(parameters_[i]);
  }
  own_memory(result, x);
  if (divided_) {
    average_over_processes(result);
  }
  return result;
}

TensorList HessianOperator::gradient() const {
  TensorList detached;
  detached.reserve(gradients_.size());
  for (size_t i = 0; i < gradients_.size(); ++i) {
    detached.push_back(gradients_[i].defined() ? gradients_[i].detach()
                                               : at::zeros_like(parameters_[i]));
  }
  own_memory(detached);
  if (divided_) {
    average_over_processes(detached);
  }
  return detached;
}

}  // namespace bissl::host
