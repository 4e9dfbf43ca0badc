#include "batch_norm_kernels.h"
#include "bissl/divided_batch.h"
#include "bissl/layers.h"
#include "divided_batch_norm.h"
#include "reduced_types.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <tuple>

namespace bissl::layers {
namespace {

using batch_norm_kernels::Coefficients;
using batch_norm_kernels::Sums;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// With x̂ = (x − μ)·r, r = (σ² + ε)^(−1/2), M values in a channel, and g the gradient in the output:
//   gI = γ·r·(g − mean(g) − x̂·mean(g·x̂)),  gγ = Σ g·x̂,  gβ = Σ g     (batch statistics)
//   gI = γ·r·g                                                         (running statistics)
// With cotangents a of gI, b of gγ and c of gβ, and S = Σ a·gI + b·gγ + c·gβ, writing
//   K = Σ a·g − (Σ a)(Σ g)/M − (Σ a·x̂)(Σ g·x̂)/M,
// the second derivatives are
//   ∂S/∂g = γ·r·(a − mean(a) − x̂·mean(a·x̂)) + b·x̂ + c
//   ∂S/∂γ = r·K
//   ∂S/∂x = r·(q − mean(q) − x̂·mean(q·x̂)) − γ·K·r²·x̂/M
//     with q = ∂S/∂x̂ = −(γ·r/M)·(a·Σ g·x̂ + g·Σ a·x̂) + b·g.
// For running statistics: ∂S/∂g = γ·r·a + b·x̂ + c, ∂S/∂γ = r·Σ a·g, ∂S/∂x = b·r·g.

/// What the passes of one call share besides tensors.
struct Setting {
  bool training = true;
  double epsilon = 1e-5;
};

using MaybeTensor = c10::optional<at::Tensor>;

MaybeTensor maybe(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : c10::nullopt;
}

/// The tensors of a second derivative.
struct SecondOrder {
  at::Tensor in_grad_output;
  at::Tensor in_input;
  at::Tensor in_weight;
};

/// The tensors that it is made of; cotangents may be undefined.
struct SecondOrderInputs {
  at::Tensor grad_output, input, weight;
  at::Tensor mean, inverse_deviation;  ///< as used in the forward pass, (C)
  at::Tensor for_input, for_weight, for_bias;
};

/// With LibTorch's differentiable operations: for other devices and types, and wherever a third
/// derivative may follow. `in` has its statistics with their graph then.
SecondOrder composed_second_order(const SecondOrderInputs& in, bool training) {
  std::vector<int64_t> reduced;
  std::vector<int64_t> shape(size_t(in.input.dim()), 1);
  shape[1] = in.input.size(1);
  for (int64_t d = 0; d < in.input.dim(); ++d) {
    if (d != 1) {
      reduced.push_back(d);
    }
  }
  const double count = double(in.input.numel()) / double(in.input.size(1));
  const auto wide = [&](const at::Tensor& channel) { return channel.view(shape); };
  const auto sum = [&](const at::Tensor& values) { return values.sum(reduced); };
  const at::Tensor r = in.inverse_deviation;
  const at::Tensor x = (in.input - wide(in.mean)) * wide(r);
  const at::Tensor& g = in.grad_output;
  const at::Tensor a = in.for_input.defined() ? in.for_input : at::zeros_like(in.input);
  const at::Tensor scale = in.weight.defined() ? in.weight * r : r;

  SecondOrder result;
  if (!training) {
    result.in_grad_output = a * wide(scale);
    result.in_weight = r * sum(a * g);
    result.in_input = at::zeros_like(in.input);
    if (in.for_weight.defined()) {
      result.in_input = wide(in.for_weight * r) * g;
    }
  } else {
    const at::Tensor sum_a = sum(a);
    const at::Tensor sum_g = sum(g);
    const at::Tensor sum_ax = sum(a * x);
    const at::Tensor sum_gx = sum(g * x);
    const at::Tensor k = sum(a * g) - (sum_a * sum_g + sum_ax * sum_gx) / count;
    result.in_grad_output = wide(scale) * (a - wide(sum_a / count) - x * wide(sum_ax / count));
    result.in_weight = r * k;
    at::Tensor q = -wide(scale / count) * (a * wide(sum_gx) + g * wide(sum_ax));
    if (in.for_weight.defined()) {
      q = q + wide(in.for_weight) * g;
    }
    result.in_input = wide(r) * (q - wide(sum(q) / count) - x * wide(sum(q * x) / count)) -
                      wide(scale * r * k / count) * x;
  }
  if (in.for_weight.defined()) {
    result.in_grad_output = result.in_grad_output + wide(in.for_weight) * x;
  }
  if (in.for_bias.defined()) {
    result.in_grad_output = result.in_grad_output + wide(in.for_bias);
  }
  return result;
}

/// One pass for the sums of a channel and one that writes both results, channel by channel: the
/// channels are independent, so the result does not depend on the number of threads.
template <class T>
SecondOrder fused_second_order(const SecondOrderInputs& in, bool training) {
  const at::Tensor x = in.input.contiguous();
  const at::Tensor g = in.grad_output.contiguous();
  const at::Tensor a = in.for_input.defined() ? in.for_input.contiguous() : at::zeros_like(x);
  const int64_t samples = x.size(0);
  const int64_t channels = x.size(1);
  const int64_t plane = x.numel() / (samples * channels);
  const std::vector<double> mean = per_channel(in.mean, channels, 0);
  const std::vector<double> r = per_channel(in.inverse_deviation, channels, 1);
  const std::vector<double> weight = per_channel(in.weight, channels, 1);
  const std::vector<double> b = per_channel(in.for_weight, channels, 0);
  const std::vector<double> c = per_channel(in.for_bias, channels, 0);
  const double count = double(samples * plane);

  SecondOrder result{at::empty_like(x), at::empty_like(x),
                     at::empty({channels}, in.inverse_deviation.options())};
  const T* const px = x.data_ptr<T>();
  const T* const pg = g.data_ptr<T>();
  const T* const pa = a.data_ptr<T>();
  T* const po = result.in_grad_output.template data_ptr<T>();
  T* const pi = result.in_input.template data_ptr<T>();
  T* const pw = result.in_weight.template data_ptr<T>();
  at::parallel_for(0, channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      const auto i = size_t(channel);
      Sums sums;
      for (int64_t n = 0; n < samples; ++n) {
        const int64_t start = (n * channels + channel) * plane;
        batch_norm_kernels::add_run(px + start, pg + start, pa + start, plane, mean[i], r[i], sums);
      }
      const double k = training ? sums.ag - (sums.a * sums.g + sums.ax * sums.gx) / count : sums.ag;
      pw[channel] = T(r[i] * k);
      const Coefficients coefficients =
          batch_norm_kernels::coefficients_of(sums, weight[i], r[i], b[i], c[i], count, training);
      for (int64_t n = 0; n < samples; ++n) {
        const int64_t start = (n * channels + channel) * plane;
        batch_norm_kernels::write_run(px + start, pg + start, pa + start, plane, mean[i], r[i],
                                      coefficients, po + start, pi + start);
      }
    }
  });
  return result;
}

bool can_fuse(const at::Tensor& input) {
  return input.device().is_cpu() && input.numel() > 0 &&
         (input.scalar_type() == at::kFloat || input.scalar_type() == at::kDouble);
}

/// (gO, x, w) → (gI, gW, gB). `statistics`: mean, inverse deviation and, if not in training, the
/// running variance.
struct BatchNormGradient : public Function<BatchNormGradient> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_output,
                               const at::Tensor& input, const MaybeTensor& weight,
                               const variable_list& statistics, bool training, double epsilon) {
    context->save_for_backward(
        {grad_output, input, weight.value_or(at::Tensor()), statistics[0], statistics[1]});
    context->saved_data["training"] = training;
    context->saved_data["epsilon"] = epsilon;
    context->set_materialize_grads(false);
    // In training LibTorch reads the saved statistics, otherwise the running ones.
    const auto [grad_input, grad_weight, grad_bias] = at::native_batch_norm_backward(
        grad_output, input, weight, maybe(statistics[0]), maybe(statistics[2]),
        maybe(statistics[0]), maybe(statistics[1]), training, epsilon, {true, true, true});
    return {grad_input, grad_weight, grad_bias};
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const bool training = context->saved_data["training"].toBool();
    SecondOrderInputs in{saved[0], saved[1],      saved[2],      saved[3],
                         saved[4], cotangents[0], cotangents[1], cotangents[2]};
    if (is_reduced(in.input)) {  // its sums would keep no digits; autograd puts the results back
      in.input = in.input.to(at::kFloat);
      in.grad_output = in.grad_output.to(at::kFloat);
      in.for_input = in.for_input.defined() ? in.for_input.to(at::kFloat) : in.for_input;
    }
    SecondOrder result;
    if (!at::GradMode::is_enabled() && can_fuse(in.input)) {
      result = in.input.scalar_type() == at::kFloat ? fused_second_order<float>(in, training)
                                                    : fused_second_order<double>(in, training);
    } else {
      if (training) {
        std::vector<int64_t> reduced{0};
        for (int64_t d = 2; d < in.input.dim(); ++d) {
          reduced.push_back(d);
        }
        in.mean = in.input.mean(reduced);
        const at::Tensor variance = in.input.var(reduced, /*unbiased=*/false);
        in.inverse_deviation = at::rsqrt(variance + context->saved_data["epsilon"].toDouble());
      }
      result = composed_second_order(in, training);
    }
    return {result.in_grad_output,
            result.in_input,
            in.weight.defined() ? result.in_weight : at::Tensor(),
            {},
            {},
            {}};
  }
};

/// (x, w, b) → the output; the statistics are changed in place.
struct BatchNorm : public Function<BatchNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const MaybeTensor& weight, const MaybeTensor& bias,
                            const BatchNormState& state) {
    auto [output, mean, inverse_deviation] = at::native_batch_norm(
        input, weight, bias, maybe(state.running_mean), maybe(state.running_var), state.training,
        state.momentum, state.epsilon);
    at::Tensor variance;
    if (!state.training) {
      mean = state.running_mean.clone();
      variance = state.running_var.clone();
      inverse_deviation = at::rsqrt(state.running_var + state.epsilon);
    }
    context->save_for_backward({input, weight.value_or(at::Tensor())});
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["mean"] = mean;
    context->saved_data["inverse_deviation"] = inverse_deviation;
    context->saved_data["variance"] = variance;
    context->saved_data["training"] = state.training;
    context->saved_data["epsilon"] = state.epsilon;
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const variable_list statistics{context->saved_data["mean"].toTensor(),
                                   context->saved_data["inverse_deviation"].toTensor(),
                                   context->saved_data["variance"].toTensor()};
    const variable_list gradients = BatchNormGradient::apply(
        cotangents[0], saved[0], maybe(saved[1]), statistics,
        context->saved_data["training"].toBool(), context->saved_data["epsilon"].toDouble());
    const bool has_bias = context->saved_data["bias"].toBool();
    return {gradients[0],
            saved[1].defined() ? gradients[1] : at::Tensor(),
            has_bias ? gradients[2] : at::Tensor(),
            {}};
  }
};

}  // namespace

std::vector<double> per_channel(const at::Tensor& tensor, int64_t channels, double otherwise) {
  std::vector<double> values(size_t(channels), otherwise);
  if (tensor.defined()) {
    const at::Tensor doubles = tensor.to(at::kDouble).contiguous();
    std::copy_n(doubles.data_ptr<double>(), channels, values.begin());
  }
  return values;
}

at::Tensor batch_norm(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                      const BatchNormState& state) {
  TORCH_CHECK(input.dim() >= 2, "batch_norm wants (N, C, …), found ", input.sizes());
  if (is_reduced(input) && (input.device().is_cpu() || batch_is_divided())) {
    return batch_norm(input.to(at::kFloat), weight, bias, state);
  }
  if (state.training && batch_is_divided()) {
    return divided_batch_norm(input, weight, bias, state);
  }
  TORCH_CHECK(!state.training || input.numel() > input.size(1),
              "batch_norm wants more than one value for each channel in training, found ",
              input.sizes());
  TORCH_CHECK(state.training || (state.running_mean.defined() && state.running_var.defined()),
              "batch_norm needs running statistics when it does not use the batch's");
  return BatchNorm::apply(input, maybe(weight), maybe(bias), state);
}

}  // namespace bissl::layers
