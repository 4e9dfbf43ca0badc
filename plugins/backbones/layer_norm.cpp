#include "fast_layers.h"
#include "layer_norm_kernels.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <tuple>

namespace bissl {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

using MaybeTensor = c10::optional<at::Tensor>;

MaybeTensor maybe_tensor(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : c10::nullopt;
}

/// The second derivatives, and what they are made of: g, x, γ, the rows' statistics (…, 1), and
/// cotangents of the gradients in x, γ and β. γ and cotangents may be undefined.
struct RowSecondOrder {
  at::Tensor in_grad_output;
  at::Tensor in_input;
  at::Tensor in_weight;
};
struct RowInputs {
  at::Tensor grad_output, input, weight;
  at::Tensor mean, inverse_deviation;
  at::Tensor for_input, for_weight, for_bias;
};

at::Tensor or_zeros(const at::Tensor& tensor, const at::Tensor& like) {
  return tensor.defined() ? tensor : at::zeros_like(like);
}

/// A sum over all dimensions but the last.
at::Tensor sum_of_rows(const at::Tensor& values) {
  return values.reshape({-1, values.size(-1)}).sum(0);
}

/// With LibTorch's differentiable operations: for other devices and types, and wherever a third
/// derivative may follow. The formulas are in layer_norm_kernels.cpp.
RowSecondOrder composed_rows(const RowInputs& in, double epsilon) {
  const at::Tensor mean = in.input.mean(-1, /*keepdim=*/true);
  const at::Tensor r = at::rsqrt(in.input.var(-1, /*unbiased=*/false, /*keepdim=*/true) + epsilon);
  const at::Tensor x = (in.input - mean) * r;
  const at::Tensor& g = in.grad_output;
  const at::Tensor h = in.weight.defined() ? in.weight * g : g;
  const at::Tensor a = or_zeros(in.for_input, in.input);
  const auto average = [](const at::Tensor& values) { return values.mean(-1, /*keepdim=*/true); };
  const double count = double(in.input.size(-1));
  const at::Tensor in_h = r * (a - average(a) - x * average(a * x));
  const at::Tensor k =
      count * (average(a * h) - average(a) * average(h) - average(a * x) * average(h * x));
  at::Tensor q = -r * (a * average(h * x) + h * average(a * x));
  RowSecondOrder result;
  result.in_grad_output = in.weight.defined() ? in.weight * in_h : in_h;
  if (in.for_weight.defined()) {
    q = q + in.for_weight * g;
    result.in_grad_output = result.in_grad_output + in.for_weight * x;
  }
  if (in.for_bias.defined()) {
    result.in_grad_output = result.in_grad_output + in.for_bias;
  }
  result.in_input = r * (q - average(q) - x * average(q * x)) - k * r * r * x / count;
  result.in_weight = sum_of_rows(g * in_h);
  return result;
}

/// Row by row, in two passes. γ's derivative is a sum over rows, taken over a number of parts that
/// does not depend on the number of threads.
template <class T>
RowSecondOrder fused_rows(const RowInputs& in) {
  constexpr int64_t parts = 32;
  const at::Tensor x = in.input.contiguous();
  const at::Tensor g = in.grad_output.contiguous();
  const at::Tensor a = or_zeros(in.for_input, x).contiguous();
  const int64_t width = x.size(-1);
  const int64_t count = x.numel() / width;
  const at::Tensor zeros = at::zeros({width}, x.options());
  const auto per_value = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.contiguous() : zeros;
  };
  const at::Tensor weight =
      in.weight.defined() ? in.weight.contiguous() : at::ones({width}, x.options());
  const at::Tensor for_weight = per_value(in.for_weight);
  const at::Tensor for_bias = per_value(in.for_bias);
  const at::Tensor mean = in.mean.contiguous();
  const at::Tensor inverse_deviation = in.inverse_deviation.contiguous();
  RowSecondOrder result{at::empty_like(x), at::empty_like(x), {}};
  const at::Tensor sums = at::zeros({parts, width}, x.options());
  const layer_norm_kernels::Rows<T> rows{
      .width = width,
      .input = x.data_ptr<T>(),
      .grad_output = g.data_ptr<T>(),
      .for_input = a.data_ptr<T>(),
      .mean = mean.data_ptr<T>(),
      .inverse_deviation = inverse_deviation.data_ptr<T>(),
      .weight = weight.data_ptr<T>(),
      .for_weight = for_weight.data_ptr<T>(),
      .for_bias = for_bias.data_ptr<T>(),
      .in_grad_output = result.in_grad_output.template data_ptr<T>(),
      .in_input = result.in_input.template data_ptr<T>()};
  T* const part_sums = sums.data_ptr<T>();
  const int64_t rows_per_part = (count + parts - 1) / parts;
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      const int64_t begin = std::min(count, part * rows_per_part);
      const int64_t end = std::min(count, begin + rows_per_part);
      layer_norm_kernels::second_order(rows, begin, end, part_sums + part * width);
    }
  });
  result.in_weight = sums.sum(0);
  return result;
}

bool can_fuse_rows(const RowInputs& in) {
  const auto type = in.input.scalar_type();
  return in.input.device().is_cpu() && in.input.numel() > 0 &&
         (type == at::kFloat || type == at::kDouble) && in.mean.scalar_type() == type;
}

/// (g, x, γ) → (gI, gγ, gβ).
struct RowNormGradient : public Function<RowNormGradient> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_output,
                               const at::Tensor& input, const MaybeTensor& weight,
                               const variable_list& statistics, double epsilon) {
    const at::Tensor scale = weight.value_or(at::Tensor());
    context->save_for_backward({grad_output, input, scale, statistics[0], statistics[1]});
    context->saved_data["epsilon"] = epsilon;
    context->set_materialize_grads(false);
    // LibTorch gives γ's gradient only where there is a γ; it is asked for as an output here.
    const at::Tensor ones = scale.defined() ? scale : at::ones({input.size(-1)}, input.options());
    const auto [grad_input, grad_weight, grad_bias] = at::native_layer_norm_backward(
        grad_output, input, {input.size(-1)}, statistics[0], statistics[1], ones,
        at::zeros_like(ones), {true, true, true});
    return {grad_input, grad_weight, grad_bias};
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const RowInputs in{saved[0], saved[1],      saved[2],      saved[3],
                       saved[4], cotangents[0], cotangents[1], cotangents[2]};
    RowSecondOrder result;
    if (at::GradMode::is_enabled() || !can_fuse_rows(in)) {
      result = composed_rows(in, context->saved_data["epsilon"].toDouble());
    } else {
      result =
          in.input.scalar_type() == at::kFloat ? fused_rows<float>(in) : fused_rows<double>(in);
    }
    return {result.in_grad_output,
            result.in_input,
            in.weight.defined() ? result.in_weight : at::Tensor(),
            {},
            {}};
  }
};

/// (x, γ, β) → the output.
struct RowNorm : public Function<RowNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const MaybeTensor& weight, const MaybeTensor& bias, double epsilon) {
    auto [output, mean, inverse_deviation] =
        at::native_layer_norm(input, {input.size(-1)}, weight, bias, epsilon);
    context->save_for_backward({input, weight.value_or(at::Tensor())});
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["mean"] = mean;
    context->saved_data["inverse_deviation"] = inverse_deviation;
    context->saved_data["epsilon"] = epsilon;
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const variable_list statistics{context->saved_data["mean"].toTensor(),
                                   context->saved_data["inverse_deviation"].toTensor()};
    const variable_list gradients =
        RowNormGradient::apply(cotangents[0], saved[0], maybe_tensor(saved[1]), statistics,
                               context->saved_data["epsilon"].toDouble());
    return {gradients[0], saved[1].defined() ? gradients[1] : at::Tensor(),
            context->saved_data["bias"].toBool() ? gradients[2] : at::Tensor(), at::Tensor()};
  }
};

}  // namespace

FastLayerNormImpl::FastLayerNormImpl(int64_t width, double epsilon)
    : weight_(register_parameter("weight", at::ones({width}))),
      bias_(register_parameter("bias", at::zeros({width}))),
      epsilon_(epsilon) {}

at::Tensor fast_layer_norm(const at::Tensor& input, const at::Tensor& weight,
                           const at::Tensor& bias, double epsilon) {
  TORCH_CHECK(input.dim() >= 1 && input.size(-1) > 0,
              "layer normalisation wants (…, C) with at least one channel, found ", input.sizes());
  // As LibTorch's own autocast has it on a GPU: the rows and the result are in single precision.
  const bool reduced = input.scalar_type() == at::kBFloat16 || input.scalar_type() == at::kHalf;
  return RowNorm::apply(reduced ? input.to(at::kFloat) : input, maybe_tensor(weight),
                        maybe_tensor(bias), epsilon);
}

}  // namespace bissl
