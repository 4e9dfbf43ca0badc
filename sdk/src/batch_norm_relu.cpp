#include "batch_norm_relu_kernels.h"
#include "bissl/divided_batch.h"
#include "bissl/layers.h"
#include "bissl/tensor_list.h"
#include "reduced_types.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace bissl::layers {
namespace {

namespace kernels = batch_norm_relu_kernels;

using kernels::Planes;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// With x̂ = (x − μ)·r, r = (σ² + ε)^(−1/2), M values in a channel, y = relu(γ·x̂ + β + z), and g the
// gradient in y where y > 0 and 0 elsewhere:
//   gX = γ·r·(g − mean(g) − x̂·mean(g·x̂)),  gγ = Σ g·x̂,  gβ = Σ g,  gZ = g    (batch statistics)
//   gX = γ·r·g                                                               (running statistics)
// With cotangents a of gX, b of gγ, c of gβ and d of gZ, the second derivatives in g, γ and x are
// those of batch normalisation (batch_norm.cpp), with d added to the first of them, and 0
// for the first where y ≤ 0.

/// Smaller planes are faster in LibTorch's loops.
constexpr int64_t least_plane = 4;

/// Values that are worth a thread.
constexpr int64_t values_of_a_thread = 32768;

/// Numbers for each channel, (C) in double precision.
using Channels = at::Tensor;

Planes planes_of(const at::Tensor& input) {
  const int64_t samples = input.size(0);
  const int64_t plane = input.numel() / (samples * input.size(1));
  return {.samples = samples, .plane = plane, .stride = plane * input.size(1)};
}

bool has_loops(const at::Tensor& input) {
  return input.device().is_cpu() && input.dim() > 2 && input.numel() > 0 &&
         (input.scalar_type() == at::kFloat || input.scalar_type() == at::kDouble) &&
         input.is_contiguous() && planes_of(input).plane >= least_plane;
}

/// Calls `work(channel, start)` for all channels, with the place of their first values. They are
/// independent, so the result does not depend on the number of threads.
template <class Work>
void for_channels(const at::Tensor& input, const Work& work) {
  const Planes planes = planes_of(input);
  const int64_t grain = std::max<int64_t>(1, values_of_a_thread / (planes.samples * planes.plane));
  at::parallel_for(0, input.size(1), grain, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      work(channel, channel * planes.plane);
    }
  });
}

Channels doubles(const at::Tensor& tensor) { return tensor.detach().to(at::kDouble).contiguous(); }

/// The layer's statistics as a call used them, and what else its passes share.
struct Setting {
  Channels mean, inverse_deviation;
  bool training = true;
  bool residual = false;

  void save(AutogradContext& context) const {
    context.saved_data["mean"] = mean;
    context.saved_data["inverse_deviation"] = inverse_deviation;
    context.saved_data["training"] = training;
    context.saved_data["residual"] = residual;
  }

  static Setting of(AutogradContext& context) {
    return {.mean = context.saved_data["mean"].toTensor(),
            .inverse_deviation = context.saved_data["inverse_deviation"].toTensor(),
            .training = context.saved_data["training"].toBool(),
            .residual = context.saved_data["residual"].toBool()};
  }
};

/// The output; in training sets the setting's statistics, and `variance`.
template <class T>
at::Tensor output_of(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                     const at::Tensor& residual, double epsilon, Setting& setting,
                     Channels& variance) {
  const Planes planes = planes_of(input);
  const Channels gamma = doubles(weight);
  const Channels beta = doubles(bias);
  const double* const pw = gamma.data_ptr<double>();
  const double* const pb = beta.data_ptr<double>();
  double* const mean = setting.mean.data_ptr<double>();
  double* const spread = variance.data_ptr<double>();
  double* const r = setting.inverse_deviation.data_ptr<double>();
  const at::Tensor output = at::empty_like(input);
  const T* const x = input.data_ptr<T>();
  const T* const z = residual.defined() ? residual.data_ptr<T>() : nullptr;
  T* const y = output.data_ptr<T>();
  for_channels(input, [&](int64_t i, int64_t start) {
    if (setting.training) {
      const kernels::Moments found = kernels::moments(x + start, planes);
      mean[i] = found.mean;
      spread[i] = found.variance;
    }
    r[i] = 1 / std::sqrt(spread[i] + epsilon);
    kernels::write_output(x + start, z == nullptr ? nullptr : z + start, planes, mean[i],
                          pw[i] * r[i], pb[i], y + start);
  });
  return output;
}

/// (gX, gγ, gβ), and gZ where there is a residual.
template <class T>
variable_list first_order(const at::Tensor& grad_output, const at::Tensor& input,
                          const at::Tensor& weight, const at::Tensor& output,
                          const Setting& setting) {
  const Planes planes = planes_of(input);
  const Channels gamma = doubles(weight);
  const double* const pw = gamma.data_ptr<double>();
  const double* const mean = setting.mean.data_ptr<double>();
  const double* const r = setting.inverse_deviation.data_ptr<double>();
  const at::Tensor gradient = grad_output.contiguous();
  variable_list result{at::empty_like(input), at::empty_like(weight), at::empty_like(weight)};
  if (setting.residual) {
    result.push_back(at::empty_like(input));
  }
  const T* const x = input.data_ptr<T>();
  const T* const g = gradient.data_ptr<T>();
  const T* const y = output.data_ptr<T>();
  T* const gx = result[0].data_ptr<T>();
  T* const gw = result[1].data_ptr<T>();
  T* const gb = result[2].data_ptr<T>();
  T* const gz = setting.residual ? result[3].data_ptr<T>() : nullptr;
  const auto count = double(planes.samples * planes.plane);
  for_channels(input, [&](int64_t i, int64_t start) {
    const kernels::GradientSums sums =
        kernels::gradient_sums(x + start, g + start, y + start, planes, mean[i], r[i]);
    gw[i] = T(sums.gx);
    gb[i] = T(sums.g);
    kernels::GradientCoefficients coefficients{.cg = pw[i] * r[i]};
    if (setting.training) {
      coefficients.cx = -coefficients.cg * sums.gx / count;
      coefficients.c1 = -coefficients.cg * sums.g / count;
    }
    kernels::write_gradient(x + start, g + start, y + start, planes, mean[i], r[i], coefficients,
                            gx + start, gz == nullptr ? nullptr : gz + start);
  });
  return result;
}

at::Tensor or_zeros(const at::Tensor& tensor, const at::Tensor& like) {
  return tensor.defined() ? tensor.contiguous() : at::zeros_like(like);
}

/// Of (gX, gγ, gβ, gZ) with these cotangents, the derivatives in (gO, x, γ).
template <class T>
variable_list second_order(const variable_list& saved, const variable_list& cotangents,
                           const Setting& setting) {
  const at::Tensor gradient = saved[0].contiguous();
  const at::Tensor& input = saved[1];
  const at::Tensor& weight = saved[2];
  const Planes planes = planes_of(input);
  const at::Tensor for_input = or_zeros(cotangents[0], input);
  const at::Tensor for_residual =
      setting.residual && cotangents[3].defined() ? cotangents[3].contiguous() : at::Tensor();
  const Channels gamma = doubles(weight);
  const Channels b = doubles(or_zeros(cotangents[1], weight));
  const Channels c = doubles(or_zeros(cotangents[2], weight));
  variable_list result{at::empty_like(input), at::empty_like(input), at::empty_like(weight)};
  const T* const d = for_residual.defined() ? for_residual.data_ptr<T>() : nullptr;
  const auto count = double(planes.samples * planes.plane);
  for_channels(input, [&](int64_t i, int64_t start) {
    const kernels::SecondOrderRun<T> run{.x = input.data_ptr<T>() + start,
                                         .g = gradient.data_ptr<T>() + start,
                                         .y = saved[3].data_ptr<T>() + start,
                                         .a = for_input.data_ptr<T>() + start,
                                         .d = d == nullptr ? nullptr : d + start};
    const double mean = setting.mean.data_ptr<double>()[i];
    const double r = setting.inverse_deviation.data_ptr<double>()[i];
    const batch_norm_kernels::Sums s = kernels::second_order_sums(run, planes, mean, r);
    const double k = setting.training ? s.ag - (s.a * s.g + s.ax * s.gx) / count : s.ag;
    result[2].data_ptr<T>()[i] = T(r * k);
    kernels::write_second_order(run, planes, mean, r,
                                batch_norm_kernels::coefficients_of(
                                    s, gamma.data_ptr<double>()[i], r, b.data_ptr<double>()[i],
                                    c.data_ptr<double>()[i], count, setting.training),
                                result[0].data_ptr<T>() + start, result[1].data_ptr<T>() + start);
  });
  return result;
}

/// The same by differentiable operations, for third derivatives: through batch normalisation, on
/// aliases of the saved tensors.
variable_list composed_second_order(const variable_list& saved, const variable_list& cotangents,
                                    const Setting& setting, double epsilon) {
  const at::Tensor gradient = saved[0].alias();
  const at::Tensor input = saved[1].alias();
  const at::Tensor weight = saved[2].alias();
  const at::Tensor bias = at::zeros_like(weight).requires_grad_();
  BatchNormState state;
  state.training = setting.training;
  state.epsilon = epsilon;
  if (!setting.training) {
    state.running_mean = setting.mean.to(weight.scalar_type());
    state.running_var = (setting.inverse_deviation.pow(-2) - epsilon).to(weight.scalar_type());
  }
  const at::Tensor positive = saved[3].detach().gt(0).to(gradient.scalar_type());
  const at::Tensor masked = gradient * positive;
  variable_list first = torch::autograd::grad({batch_norm(input, weight, bias, state)},
                                              {input, weight, bias}, {masked},
                                              /*retain_graph=*/true, /*create_graph=*/true);
  if (setting.residual) {
    first.push_back(masked);
  }
  at::Tensor product = at::zeros_like(bias).sum();
  for (size_t i = 0; i < first.size(); ++i) {
    if (cotangents[i].defined()) {
      product = product + (first[i] * cotangents[i]).sum();
    }
  }
  variable_list result =
      torch::autograd::grad({product}, {gradient, input, weight}, {}, /*retain_graph=*/true,
                            /*create_graph=*/true, /*allow_unused=*/true);
  return result;
}

/// (gO, x, γ, y) → (gX, gγ, gβ), and gZ where there is a residual.
struct Gradient : public Function<Gradient> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_output,
                               const at::Tensor& input, const at::Tensor& weight,
                               const at::Tensor& output, const Setting& setting, double epsilon) {
    context->save_for_backward({grad_output, input, weight, output});
    context->saved_data["epsilon"] = epsilon;
    setting.save(*context);
    context->set_materialize_grads(false);
    return input.scalar_type() == at::kFloat
               ? first_order<float>(grad_output, input, weight, output, setting)
               : first_order<double>(grad_output, input, weight, output, setting);
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const Setting setting = Setting::of(*context);
    variable_list found;
    if (at::GradMode::is_enabled()) {
      found = composed_second_order(saved, cotangents, setting,
                                    context->saved_data["epsilon"].toDouble());
    } else {
      found = saved[1].scalar_type() == at::kFloat
                  ? second_order<float>(saved, cotangents, setting)
                  : second_order<double>(saved, cotangents, setting);
    }
    found.resize(6);  // none in y and in what is no tensor
    return found;
  }
};

using MaybeTensor = c10::optional<at::Tensor>;

/// (x, γ, β, z) → y; the running statistics are changed in place.
struct BatchNormRelu : public Function<BatchNormRelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weight, const at::Tensor& bias,
                            const MaybeTensor& residual, const BatchNormState& state) {
    const auto options = at::TensorOptions(at::kDouble);
    Setting setting;
    setting.training = state.training;
    setting.residual = residual.has_value();
    setting.inverse_deviation = at::empty({input.size(1)}, options);
    setting.mean =
        state.training ? at::empty({input.size(1)}, options) : doubles(state.running_mean).clone();
    Channels variance =
        state.training ? at::empty({input.size(1)}, options) : doubles(state.running_var);
    const at::Tensor beside = residual.value_or(at::Tensor());
    const at::Tensor output =
        input.scalar_type() == at::kFloat
            ? output_of<float>(input, weight, bias, beside, state.epsilon, setting, variance)
            : output_of<double>(input, weight, bias, beside, state.epsilon, setting, variance);
    if (state.training && state.running_mean.defined()) {
      const auto count = double(input.numel()) / double(input.size(1));
      move(state.running_mean, setting.mean, state.momentum);
      move(state.running_var, variance * (count / (count - 1)), state.momentum);
    }
    context->save_for_backward({input, weight, output});
    context->saved_data["epsilon"] = state.epsilon;
    setting.save(*context);
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const Setting setting = Setting::of(*context);
    const variable_list gradients =
        Gradient::apply(cotangents[0], saved[0], saved[1], saved[2], setting,
                        context->saved_data["epsilon"].toDouble());
    return {gradients[0],
            gradients[1],
            gradients[2],
            setting.residual ? gradients[3] : at::Tensor(),
            {}};
  }

 private:
  /// running ← (1 − share)·running + share·values.
  static void move(at::Tensor running, const Channels& values, double share) {
    running.copy_(doubles(running).mul(1 - share).add(values, share));
  }
};

/// Where the loops apply: images that they take, a layer with weights.
bool fits(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
          const BatchNormState& state, const at::Tensor& residual) {
  const bool beside =
      !residual.defined() || (residual.sizes() == input.sizes() && residual.is_contiguous() &&
                              residual.scalar_type() == input.scalar_type());
  const auto by_channel = [&](const at::Tensor& tensor) {
    return tensor.defined() && tensor.numel() == input.size(1) &&
           tensor.scalar_type() == input.scalar_type();
  };
  const bool statistics = state.training
                              ? input.numel() > input.size(1)
                              : state.running_mean.defined() && state.running_var.defined();
  return has_loops(input) && beside && by_channel(weight) && by_channel(bias) && statistics &&
         !batch_is_divided();
}

}  // namespace

at::Tensor batch_norm_relu(const at::Tensor& input, const at::Tensor& weight,
                           const at::Tensor& bias, const BatchNormState& state,
                           const at::Tensor& residual) {
  const auto is_slow = [](const at::Tensor& tensor) {
    return tensor.defined() && tensor.device().is_cpu() && is_reduced(tensor);
  };
  if (is_slow(input) || is_slow(residual)) {
    return batch_norm_relu(input.to(at::kFloat), weight, bias, state,
                           residual.defined() ? residual.to(at::kFloat) : residual);
  }
  if (!fits(input, weight, bias, state, residual)) {
    const at::Tensor normalised = batch_norm(input, weight, bias, state);
    return at::relu(residual.defined() ? normalised + residual : normalised);
  }
  return BatchNormRelu::apply(input, weight, bias,
                              residual.defined() ? MaybeTensor(residual) : MaybeTensor(), state);
}

}  // namespace bissl::layers
