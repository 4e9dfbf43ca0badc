#include "bissl/autocast.h"
#include "bissl/layers.h"
#include "small_convolution.h"

#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>

namespace bissl::layers {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// With w the weight, x the input and gO the gradient in the output, the first derivatives are
//   gI = input_gradient(gO, w),  gW = weight_gradient(gO, x)
// both bilinear. So with cotangents cI of gI and cW of gW, the second derivatives are
//   in gO: conv(cI, w) + conv(x, cW)
//   in x:  input_gradient(gO, cW)
//   in w:  weight_gradient(gO, cI)
// four convolutions that all have a fast primitive. That of gO's two terms has no bias.

using MaybeTensor = c10::optional<at::Tensor>;

MaybeTensor maybe(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : c10::nullopt;
}

at::Tensor plain_convolution(const at::Tensor& input, const at::Tensor& weight,
                             const MaybeTensor& bias, const Conv2dGeometry& geometry) {
  if (is_small_convolution({input.sizes(), weight.sizes(), geometry}, input)) {
    return small_convolution(input, weight, bias.value_or(at::Tensor()), geometry);
  }
  return at::convolution(input, weight, bias, geometry.stride, geometry.padding, geometry.dilation,
                         /*transposed=*/false, /*output_padding=*/{0, 0}, geometry.groups);
}

/// Which of (input, weight, bias) to differentiate in.
using Mask = std::array<bool, 3>;

/// The derivatives in input, weight and bias; undefined where the mask is false. Of `input` and
/// `weight` only the shape counts where the other's derivative alone is asked for.
std::tuple<at::Tensor, at::Tensor, at::Tensor> first_derivatives(const at::Tensor& grad_output,
                                                                 const at::Tensor& input,
                                                                 const at::Tensor& weight,
                                                                 const Conv2dGeometry& geometry,
                                                                 Mask mask) {
  const ConvolutionShape shape{input.sizes(), weight.sizes(), geometry};
  at::Tensor in_input;
  at::Tensor in_weight;
  if (mask[0] && is_small_convolution(shape, grad_output)) {
    in_input = small_input_gradient(grad_output, weight, shape);
    mask[0] = false;
  }
  if (mask[1] && has_small_weight_gradient(shape, grad_output)) {
    in_weight = small_weight_gradient(grad_output, input, shape);
    mask[1] = false;
  }
  if (!mask[0] && !mask[1] && !mask[2]) {
    return {in_input, in_weight, at::Tensor()};
  }
  const std::array<int64_t, 1> bias_sizes{weight.size(0)};
  auto gradients = at::convolution_backward(
      grad_output, input, weight, mask[2] ? at::OptionalIntArrayRef(bias_sizes) : c10::nullopt,
      geometry.stride, geometry.padding, geometry.dilation,
      /*transposed=*/false, /*output_padding=*/{0, 0}, geometry.groups, mask);
  if (in_input.defined()) {
    std::get<0>(gradients) = in_input;
  }
  if (in_weight.defined()) {
    std::get<1>(gradients) = in_weight;
  }
  return gradients;
}

/// A geometry among the saved values of a node, and back.
std::vector<int64_t> pack(const Conv2dGeometry& geometry) {
  return {geometry.stride[0],   geometry.stride[1],   geometry.padding[0], geometry.padding[1],
          geometry.dilation[0], geometry.dilation[1], geometry.groups};
}

Conv2dGeometry unpack(const c10::IValue& saved) {
  const std::vector<int64_t> numbers = saved.toIntVector();
  return {.stride = {numbers[0], numbers[1]},
          .padding = {numbers[2], numbers[3]},
          .dilation = {numbers[4], numbers[5]},
          .groups = numbers[6]};
}

/// a + b where either may be undefined.
at::Tensor sum(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) {
    return a.defined() ? a : b;
  }
  return a.add(b);
}

/// Those of `all` that are wanted: a function's outputs must be defined. Some of LibTorch's
/// backends give the weight's derivative although only the bias's is wanted.
variable_list wanted_ones(const std::array<at::Tensor, 3>& all, const std::vector<bool>& wanted) {
  variable_list chosen;
  for (size_t i = 0; i < all.size(); ++i) {
    if (wanted[i]) {
      chosen.push_back(all[i]);
    }
  }
  return chosen;
}

/// The opposite: `chosen` in their three places.
std::array<at::Tensor, 3> in_places(const variable_list& chosen, const std::vector<bool>& wanted) {
  std::array<at::Tensor, 3> all;
  size_t next = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (wanted[i]) {
      all[i] = chosen[next++];
    }
  }
  return all;
}

/// (gO, x, w) → those of (gI, gW, gB) that are wanted. Its backward pass is made of differentiable
/// operations, so third derivatives come from LibTorch.
struct ConvolutionGradient : public Function<ConvolutionGradient> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_output,
                               const at::Tensor& input, const at::Tensor& weight,
                               std::vector<int64_t> geometry, std::vector<bool> wanted) {
    context->save_for_backward({grad_output, input, weight});
    const auto [grad_input, grad_weight, grad_bias] = first_derivatives(
        grad_output, input, weight, unpack(geometry), Mask{wanted[0], wanted[1], wanted[2]});
    context->saved_data["geometry"] = std::move(geometry);
    context->saved_data["wanted"] = std::vector<int64_t>(wanted.begin(), wanted.end());
    context->set_materialize_grads(false);
    return wanted_ones({grad_input, grad_weight, grad_bias}, wanted);
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& grad_output = saved[0];
    const at::Tensor& input = saved[1];
    const at::Tensor& weight = saved[2];
    const std::vector<int64_t> flags = context->saved_data["wanted"].toIntVector();
    const auto [for_input, for_weight, for_bias] =
        in_places(cotangents, std::vector<bool>(flags.begin(), flags.end()));
    const Conv2dGeometry geometry = unpack(context->saved_data["geometry"]);

    at::Tensor in_grad_output;
    at::Tensor in_input;
    at::Tensor in_weight;
    if (context->needs_input_grad(0)) {
      if (for_input.defined()) {
        in_grad_output = plain_convolution(for_input, weight, maybe(for_bias), geometry);
      }
      if (for_weight.defined()) {
        const MaybeTensor bias = for_input.defined() ? c10::nullopt : maybe(for_bias);
        in_grad_output = sum(in_grad_output, plain_convolution(input, for_weight, bias, geometry));
      }
      if (!for_input.defined() && !for_weight.defined() && for_bias.defined()) {
        in_grad_output = for_bias.view({1, -1, 1, 1}).expand_as(grad_output);
      }
    }
    if (context->needs_input_grad(1) && for_weight.defined()) {
      in_input = std::get<0>(
          first_derivatives(grad_output, input, for_weight, geometry, {true, false, false}));
    }
    if (context->needs_input_grad(2) && for_input.defined()) {
      in_weight = std::get<1>(
          first_derivatives(grad_output, for_input, weight, geometry, {false, true, false}));
    }
    return {in_grad_output, in_input, in_weight, {}, {}};
  }
};

/// (x, w, b) → the output.
struct Convolution : public Function<Convolution> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weight, const MaybeTensor& bias,
                            std::vector<int64_t> geometry) {
    context->save_for_backward({input, weight});
    at::Tensor output = plain_convolution(input, weight, bias, unpack(geometry));
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["geometry"] = std::move(geometry);
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    const variable_list saved = context->get_saved_variables();
    const std::vector<int64_t> geometry = context->saved_data["geometry"].toIntVector();
    const std::vector<bool> wanted{
        context->needs_input_grad(0), context->needs_input_grad(1),
        context->saved_data["bias"].toBool() && context->needs_input_grad(2)};
    const auto gradients = in_places(
        ConvolutionGradient::apply(cotangents[0], saved[0], saved[1], geometry, wanted), wanted);
    return {gradients[0], gradients[1], gradients[2], {}};
  }
};

/// The tensor in the type that LibTorch's autocast, where it is on, computes a convolution in. Its
/// kernels for autocast do not see what the functions above call.
at::Tensor as_autocast(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_floating_point() || tensor.scalar_type() == at::kDouble) {
    return tensor;
  }
  const AutocastState state = autocast_state(tensor.device().type());
  return state.enabled ? tensor.to(state.type) : tensor;
}

}  // namespace

at::Tensor conv2d(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                  const Conv2dGeometry& geometry) {
  TORCH_CHECK(input.dim() == 4 && weight.dim() == 4,
              "conv2d wants images (N, I, H, W) and a weight (O, I, kh, kw), found ", input.sizes(),
              " and ", weight.sizes());
  const at::Tensor output = Convolution::apply(as_autocast(input), as_autocast(weight),
                                               maybe(as_autocast(bias)), pack(geometry));
  LayerRecorder::note({.input = input,
                       .weight = weight,
                       .bias = bias,
                       .output = output,
                       .convolution = true,
                       .geometry = geometry});
  return output;
}

}  // namespace bissl::layers
