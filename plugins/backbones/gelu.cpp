#include "fast_layers.h"
#include "gelu_kernels.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

namespace bissl {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// With f(x) = x·Φ(x): f′(x) = Φ(x) + x·φ(x) and f″(x) = φ(x)·(2 − x²). The gradient in the input is
// gI = g·f′(x), and with a cotangent a of it the second derivatives are a·f′(x) in g, which is the
// first derivative's own pass, and a·g·f″(x) in x.

constexpr double root_of_two = 1.4142135623730951;
constexpr double root_of_two_pi = 2.5066282746310002;

bool can_fuse_gelu(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
}

/// a·g·f″(x) in one pass.
template <class T>
at::Tensor fused_curvature(const at::Tensor& x, const at::Tensor& g, const at::Tensor& a) {
  const at::Tensor inputs = x.contiguous();
  const at::Tensor gradients = g.contiguous();
  const at::Tensor cotangents = a.contiguous();
  at::Tensor result = at::empty_like(inputs);
  const T* const px = inputs.data_ptr<T>();
  const T* const pg = gradients.data_ptr<T>();
  const T* const pa = cotangents.data_ptr<T>();
  T* const pr = result.template data_ptr<T>();
  constexpr int64_t grain = 16384;  // values worth another thread
  at::parallel_for(0, inputs.numel(), grain, [&](int64_t begin, int64_t end) {
    gelu_kernels::curvature(px + begin, pg + begin, pa + begin, end - begin, pr + begin);
  });
  return result;
}

/// (g, x) → gI.
struct GeluGradient : public Function<GeluGradient> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& grad_output,
                            const at::Tensor& input) {
    context->save_for_backward({grad_output, input});
    return at::gelu_backward(grad_output, input, "none");
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& g = saved[0];
    const at::Tensor& x = saved[1];
    const at::Tensor& a = cotangents[0];
    if (!at::GradMode::is_enabled() && can_fuse_gelu(x)) {
      return {at::gelu_backward(a, x, "none"), x.scalar_type() == at::kFloat
                                                   ? fused_curvature<float>(x, g, a)
                                                   : fused_curvature<double>(x, g, a)};
    }
    const at::Tensor density = at::exp(x * x * -0.5) / root_of_two_pi;
    const at::Tensor slope = (at::erf(x / root_of_two) + 1) * 0.5 + x * density;
    return {a * slope, a * g * density * (2 - x * x)};
  }
};

struct Gelu : public Function<Gelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input) {
    context->save_for_backward({input});
    return at::gelu(input, "none");
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    return {GeluGradient::apply(cotangents[0], context->get_saved_variables()[0])};
  }
};

}  // namespace

at::Tensor fast_gelu(const at::Tensor& input) { return Gelu::apply(input); }

}  // namespace bissl
