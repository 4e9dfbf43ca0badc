#include "divided_batch_norm.h"

#include "batch_norm_kernels.h"
#include "divided_sum.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/batch_norm_update_stats.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/var_mean.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <tuple>

// The formulas are those of batch_norm.cpp, with sums over all parts of the batch where a sum is
// over the values of a channel, and M, the number of these. Each process returns its contributions
// to the derivatives in weight and bias: they are added up with those of all other weights.

namespace bissl::layers {
namespace {

using batch_norm_kernels::Coefficients;
using batch_norm_kernels::Sums;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using MaybeTensor = c10::optional<at::Tensor>;

/// Of all parts, in double precision.
struct Statistics {
  at::Tensor mean;      ///< (C)
  at::Tensor variance;  ///< (C)
  double count = 0;     ///< M
};

/// Of the parts k with n_k values in a channel, means μ_k and variances σ_k²:
///   μ = Σ n_k·μ_k/M,   σ² = Σ n_k·(σ_k² + μ_k²)/M − μ²,
/// where in double precision the difference loses nothing. One sum over the processes gives all.
Statistics statistics_of_all(const at::Tensor& own_mean, const at::Tensor& own_variance,
                             double own_count) {
  const int64_t channels = own_mean.size(0);
  const at::Tensor mu = own_mean.to(at::kDouble);
  const at::Tensor squares = own_variance.to(at::kDouble) + mu * mu;
  const at::Tensor sums = sum_over_parts(
      at::cat({mu * own_count, squares * own_count, at::full({1}, own_count, mu.options())}));
  Statistics all;
  all.count = sums[2 * channels].item<double>();
  TORCH_CHECK(all.count > 1, "batch_norm wants more than one value for each channel in training");
  all.mean = sums.narrow(0, 0, channels) / all.count;
  all.variance =
      (sums.narrow(0, channels, channels) / all.count - all.mean * all.mean).clamp_min(0);
  return all;
}

double count_of(const at::Tensor& input) { return double(input.numel()) / double(input.size(1)); }

std::vector<int64_t> wide_shape(const at::Tensor& input) {
  std::vector<int64_t> shape(size_t(input.dim()), 1);
  shape[1] = input.size(1);
  return shape;
}

void move_running(const at::Tensor& running, const at::Tensor& batch, double momentum) {
  if (running.defined()) {
    at::Tensor kept = running.variable_data();  // graphs check the version counters
    kept.mul_(1 - momentum).add_(batch.detach().to(running.scalar_type()), momentum);
  }
}

void move_running(const BatchNormState& state, const Statistics& all) {
  const c10::NoGradGuard no_grad;
  move_running(state.running_mean, all.mean, state.momentum);
  move_running(state.running_var, all.variance * (all.count / (all.count - 1)), state.momentum);
}

MaybeTensor maybe(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : c10::nullopt;
}

/// With LibTorch's differentiable operations: for other devices and types, and where a third
/// derivative may follow.
at::Tensor composed(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                    const BatchNormState& state) {
  std::vector<int64_t> reduced{0};
  for (int64_t d = 2; d < input.dim(); ++d) {
    reduced.push_back(d);
  }
  const auto [own_variance, own_mean] =
      at::var_mean(input, reduced, /*unbiased=*/false, /*keepdim=*/false);
  const Statistics all = statistics_of_all(own_mean, own_variance, count_of(input));
  move_running(state, all);
  const at::Tensor deviation = at::rsqrt(all.variance + state.epsilon);
  const at::Tensor scale = weight.defined() ? weight.to(at::kDouble) * deviation : deviation;
  const at::Tensor shift =
      bias.defined() ? bias.to(at::kDouble) - all.mean * scale : -all.mean * scale;
  const auto type = input.scalar_type();
  const std::vector<int64_t> wide = wide_shape(input);
  return input * scale.to(type).view(wide) + shift.to(type).view(wide);
}

/// What the passes of one call share besides tensors.
struct Setting {
  SharedSum sum;
  double count = 0;
  double epsilon = 1e-5;
};

/// The tensors of a second derivative.
struct SecondOrder {
  at::Tensor in_grad_output;
  at::Tensor in_input;
  at::Tensor in_weight;
};

/// The tensors that it is made of; cotangents may be undefined.
struct SecondOrderInputs {
  at::Tensor grad_output, input, weight;
  at::Tensor mean, variance;  ///< of all parts, of the input's type
  at::Tensor for_input, for_weight, for_bias;
};

constexpr int64_t sums_of_a_channel = 7;

/// Sums of a channel over all parts, as they lie in the tensor that is added up: those of Sums, and
/// Σ b·g and Σ b·g·x̂, in which b is each process's own.
struct TotalSums {
  explicit TotalSums(const double* values)
      : a(values[0]),
        g(values[1]),
        ax(values[2]),
        gx(values[3]),
        ag(values[4]),
        bg(values[5]),
        bgx(values[6]) {}
  static void write(const Sums& s, double b, double* values) {
    const double all[] = {s.a, s.g, s.ax, s.gx, s.ag, b * s.g, b * s.gx};
    std::copy_n(all, sums_of_a_channel, values);
  }
  double a, g, ax, gx, ag, bg, bgx;
};

Coefficients coefficients_of(const TotalSums& s, double weight, double r, double b, double c,
                             double count) {
  const double scale = weight * r;
  const double k = s.ag - (s.a * s.g + s.ax * s.gx) / count;
  const double mean_q = (s.bg - scale * (s.a * s.gx + s.g * s.ax) / count) / count;
  const double mean_qx = (s.bgx - scale * 2 * s.ax * s.gx / count) / count;
  return {.oa = scale,
          .ox = b - scale * s.ax / count,
          .o1 = c - scale * s.a / count,
          .ia = -r * scale * s.gx / count,
          .ig = r * (b - scale * s.ax / count),
          .ix = -r * mean_qx - scale * r * k / count,
          .i1 = -r * mean_q};
}

/// One pass for the sums of each channel, one sum over the processes, and a pass that writes both
/// results.
template <class T>
SecondOrder fused_second_order(const SecondOrderInputs& in, const Setting& setting) {
  const at::Tensor x = in.input.contiguous();
  const at::Tensor g = in.grad_output.contiguous();
  const at::Tensor a = in.for_input.defined() ? in.for_input.contiguous() : at::zeros_like(x);
  const int64_t samples = x.size(0);
  const int64_t channels = x.size(1);
  const int64_t plane = x.numel() / (samples * channels);
  const std::vector<double> mean = per_channel(in.mean, channels, 0);
  const std::vector<double> r =
      per_channel(at::rsqrt(in.variance.to(at::kDouble) + setting.epsilon), channels, 1);
  const std::vector<double> weight = per_channel(in.weight, channels, 1);
  const std::vector<double> b = per_channel(in.for_weight, channels, 0);
  const std::vector<double> c = per_channel(in.for_bias, channels, 0);
  const T* const px = x.data_ptr<T>();
  const T* const pg = g.data_ptr<T>();
  const T* const pa = a.data_ptr<T>();

  std::vector<Sums> own(static_cast<size_t>(channels));
  at::Tensor totals = at::empty({channels, sums_of_a_channel}, at::kDouble);
  double* const pt = totals.data_ptr<double>();
  at::parallel_for(0, channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      const auto i = size_t(channel);
      for (int64_t n = 0; n < samples; ++n) {
        const int64_t start = (n * channels + channel) * plane;
        batch_norm_kernels::add_run(px + start, pg + start, pa + start, plane, mean[i], r[i],
                                    own[i]);
      }
      TotalSums::write(own[i], b[i], pt + channel * sums_of_a_channel);
    }
  });
  (*setting.sum)(totals);

  SecondOrder result{at::empty_like(x), at::empty_like(x), at::empty({channels}, x.options())};
  T* const po = result.in_grad_output.template data_ptr<T>();
  T* const pi = result.in_input.template data_ptr<T>();
  T* const pw = result.in_weight.template data_ptr<T>();
  at::parallel_for(0, channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      const auto i = size_t(channel);
      const TotalSums all(pt + channel * sums_of_a_channel);
      pw[channel] = T(r[i] * (own[i].ag - (own[i].a * all.g + own[i].ax * all.gx) / setting.count));
      const Coefficients coefficients =
          coefficients_of(all, weight[i], r[i], b[i], c[i], setting.count);
      for (int64_t n = 0; n < samples; ++n) {
        const int64_t start = (n * channels + channel) * plane;
        batch_norm_kernels::write_run(px + start, pg + start, pa + start, plane, mean[i], r[i],
                                      coefficients, po + start, pi + start);
      }
    }
  });
  return result;
}

/// By differentiating composed() twice, which may be differentiated again.
SecondOrder composed_second_order(const SecondOrderInputs& in, const Setting& setting) {
  const bool again = at::GradMode::is_enabled();
  const at::AutoGradMode grad(true);
  const DividedBatch scope(setting.sum);
  // New names for the tensors: in the graph around this, g may depend on x.
  const auto variable = [](const at::Tensor& tensor) {
    return tensor.requires_grad() ? tensor.view_as(tensor) : tensor.detach().requires_grad_();
  };
  const int64_t channels = in.input.size(1);
  const at::Tensor x = variable(in.input);
  const at::Tensor g = variable(in.grad_output);
  const at::Tensor weight =
      variable(in.weight.defined() ? in.weight : at::ones({channels}, in.input.options()));
  const at::Tensor bias = variable(at::zeros({channels}, weight.options()));
  BatchNormState state;
  state.epsilon = setting.epsilon;
  const at::Tensor output = composed(x, weight, bias, state);
  const variable_list first = torch::autograd::grad({output}, {x, weight, bias}, {g},
                                                    /*retain_graph=*/true, /*create_graph=*/true);
  variable_list outputs;
  variable_list cotangents;
  const at::Tensor* const given[] = {&in.for_input, &in.for_weight, &in.for_bias};
  for (size_t i = 0; i < first.size(); ++i) {
    if (given[i]->defined()) {
      outputs.push_back(first[i]);
      cotangents.push_back(*given[i]);
    }
  }
  variable_list second = torch::autograd::grad(outputs, {g, x, weight}, cotangents,
                                               /*retain_graph=*/true, again, /*allow_unused=*/true);
  return {second[0], second[1], second[2]};
}

bool can_fuse(const at::Tensor& input) {
  return input.device().is_cpu() && input.numel() > 0 &&
         (input.scalar_type() == at::kFloat || input.scalar_type() == at::kDouble);
}

/// (gO, x, w) → (gI, gW, gB). `statistics`: mean and variance of all parts.
struct DividedBatchNormGradient : public Function<DividedBatchNormGradient> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_output,
                               const at::Tensor& input, const MaybeTensor& weight,
                               const variable_list& statistics, const Setting& setting) {
    context->save_for_backward(
        {grad_output, input, weight.value_or(at::Tensor()), statistics[0], statistics[1]});
    context->saved_data["sum"] = SumHolder::hold(setting.sum);
    context->saved_data["count"] = setting.count;
    context->saved_data["epsilon"] = setting.epsilon;
    context->set_materialize_grads(false);
    // With fixed statistics gI = γ·r·g, gW = Σ g·x̂ and gB = Σ g over this part.
    auto [grad_input, grad_weight, grad_bias] = at::native_batch_norm_backward(
        grad_output, input, weight, statistics[0], statistics[1], c10::nullopt, c10::nullopt,
        /*train=*/false, setting.epsilon, {true, true, true});
    const int64_t channels = input.size(1);
    at::Tensor means = at::cat({grad_bias, grad_weight}).to(at::kDouble);
    (*setting.sum)(means);
    means.div_(setting.count);
    const at::Tensor r = at::rsqrt(statistics[1].to(at::kDouble) + setting.epsilon);
    const at::Tensor scale = weight ? weight->to(at::kDouble) * r : r;
    const at::Tensor slope = -scale * r * means.narrow(0, channels, channels);
    const at::Tensor shift =
        -scale * means.narrow(0, 0, channels) - slope * statistics[0].to(at::kDouble);
    const std::vector<int64_t> wide = wide_shape(input);
    const auto type = input.scalar_type();
    grad_input.addcmul_(input, slope.to(type).view(wide)).add_(shift.to(type).view(wide));
    return {grad_input, grad_weight, grad_bias};
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const Setting setting{.sum = SumHolder::held_in(context->saved_data["sum"]),
                          .count = context->saved_data["count"].toDouble(),
                          .epsilon = context->saved_data["epsilon"].toDouble()};
    const SecondOrderInputs in{saved[0], saved[1],      saved[2],      saved[3],
                               saved[4], cotangents[0], cotangents[1], cotangents[2]};
    const SecondOrder result = at::GradMode::is_enabled() ? composed_second_order(in, setting)
                               : in.input.scalar_type() == at::kFloat
                                   ? fused_second_order<float>(in, setting)
                                   : fused_second_order<double>(in, setting);
    return {result.in_grad_output,
            result.in_input,
            in.weight.defined() ? result.in_weight : at::Tensor(),
            {},
            {}};
  }
};

/// (x, w, b) → the output; the running statistics are changed in place.
struct DividedBatchNorm : public Function<DividedBatchNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const MaybeTensor& weight, const MaybeTensor& bias,
                            const BatchNormState& state, const SharedSum& sum) {
    const auto [own_mean, own_variance] =
        at::batch_norm_update_stats(input, c10::nullopt, c10::nullopt, /*momentum=*/0.0);
    const Statistics all = statistics_of_all(own_mean, own_variance, count_of(input));
    move_running(state, all);
    const at::Tensor mean = all.mean.to(input.scalar_type());
    const at::Tensor variance = all.variance.to(input.scalar_type());
    context->save_for_backward({input, weight.value_or(at::Tensor())});
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["mean"] = mean;
    context->saved_data["variance"] = variance;
    context->saved_data["sum"] = SumHolder::hold(sum);
    context->saved_data["count"] = all.count;
    context->saved_data["epsilon"] = state.epsilon;
    return std::get<0>(at::native_batch_norm(input, weight, bias, mean, variance,
                                             /*training=*/false, /*momentum=*/0.0, state.epsilon));
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const variable_list gradients = DividedBatchNormGradient::apply(
        cotangents[0], saved[0], maybe(saved[1]),
        variable_list{context->saved_data["mean"].toTensor(),
                      context->saved_data["variance"].toTensor()},
        Setting{.sum = SumHolder::held_in(context->saved_data["sum"]),
                .count = context->saved_data["count"].toDouble(),
                .epsilon = context->saved_data["epsilon"].toDouble()});
    const bool has_bias = context->saved_data["bias"].toBool();
    return {gradients[0],
            saved[1].defined() ? gradients[1] : at::Tensor(),
            has_bias ? gradients[2] : at::Tensor(),
            {},
            {}};
  }
};

}  // namespace

at::Tensor divided_batch_norm(const at::Tensor& input, const at::Tensor& weight,
                              const at::Tensor& bias, const BatchNormState& state) {
  return can_fuse(input)
             ? DividedBatchNorm::apply(input, maybe(weight), maybe(bias), state, sum_of_scope())
             : composed(input, weight, bias, state);
}

}  // namespace bissl::layers
