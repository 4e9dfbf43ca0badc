#include "small_convolution.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <vector>

namespace bissl::layers {
namespace {

/// Below these a matrix product does not reach its speed.
constexpr int64_t least_batch = 32;
constexpr int64_t least_channels = 64;

/// Most pixels of the output; the measured ones are in docs/second-derivatives.md.
constexpr int64_t most_pixels = 4;
constexpr int64_t most_pixels_for_weight = 16;
/// The weight's gradient of more than most_pixels pixels is slow elsewhere for wide layers alone.
constexpr int64_t wide = 512;

/// An output and an input pixel that a place of the kernel joins.
struct Joint {
  int64_t out = 0;
  int64_t in = 0;
  int64_t place = 0;
};

int64_t output_size(const ConvolutionShape& shape, size_t axis) {
  const Conv2dGeometry& g = shape.geometry;
  const int64_t reach = g.dilation[axis] * (shape.weight[2 + axis] - 1) + 1;
  return (shape.input[2 + axis] + 2 * g.padding[axis] - reach) / g.stride[axis] + 1;
}

/// In the order of `place`, for each of them of `out`.
std::vector<Joint> joints_of(const ConvolutionShape& shape) {
  const Conv2dGeometry& g = shape.geometry;
  const int64_t height = output_size(shape, 0);
  const int64_t width = output_size(shape, 1);
  std::vector<Joint> joints;
  for (int64_t i = 0; i < shape.weight[2]; ++i) {
    for (int64_t j = 0; j < shape.weight[3]; ++j) {
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          const int64_t row = y * g.stride[0] + i * g.dilation[0] - g.padding[0];
          const int64_t column = x * g.stride[1] + j * g.dilation[1] - g.padding[1];
          if (row >= 0 && row < shape.input[2] && column >= 0 && column < shape.input[3]) {
            joints.push_back({.out = y * width + x,
                              .in = row * shape.input[3] + column,
                              .place = i * shape.weight[3] + j});
          }
        }
      }
    }
  }
  return joints;
}

/// (A, B, h, w) → (h·w, A, B): a matrix for each pixel.
at::Tensor by_pixel(const at::Tensor& tensor) {
  const int64_t pixels = tensor.size(2) * tensor.size(3);
  return tensor.contiguous()
      .view({tensor.size(0) * tensor.size(1), pixels})
      .t()
      .contiguous()
      .view({pixels, tensor.size(0), tensor.size(1)});
}

/// The opposite.
at::Tensor with_pixels_last(const at::Tensor& matrices, int64_t height, int64_t width) {
  const int64_t rows = matrices.size(1);
  const int64_t columns = matrices.size(2);
  return matrices.view({height * width, rows * columns})
      .t()
      .contiguous()
      .view({rows, columns, height, width});
}

/// Matrices that are sums of products; those to which none is added are zero.
class Sums {
 public:
  Sums(at::IntArrayRef sizes, const at::Tensor& like)
      : matrices_(at::empty(sizes, like.options())), begun_(size_t(sizes[0]), false) {}

  void add(int64_t index, const at::Tensor& a, const at::Tensor& b) {
    const bool begun = begun_[size_t(index)];
    matrices_.select(0, index).addmm_(a, b, /*beta=*/begun ? 1 : 0);
    begun_[size_t(index)] = true;
  }

  const at::Tensor& finished() {
    for (size_t i = 0; i < begun_.size(); ++i) {
      if (!begun_[i]) {
        matrices_.select(0, int64_t(i)).zero_();
      }
    }
    return matrices_;
  }

 private:
  at::Tensor matrices_;
  std::vector<bool> begun_;
};

/// Whether matrix products can be made at all, and are worth it.
bool fits(const ConvolutionShape& shape, const at::Tensor& like) {
  return !at::GradMode::is_enabled() && like.device().is_cpu() &&
         (like.scalar_type() == at::kFloat || like.scalar_type() == at::kDouble) &&
         shape.input.size() == 4 && shape.weight.size() == 4 && shape.geometry.groups == 1 &&
         shape.weight[2] * shape.weight[3] > 1 && shape.input[1] == shape.weight[1] &&
         shape.input[0] >= least_batch && shape.weight[0] >= least_channels &&
         shape.weight[1] >= least_channels && output_size(shape, 0) > 0 &&
         output_size(shape, 1) > 0;
}

int64_t output_pixels(const ConvolutionShape& shape) {
  return output_size(shape, 0) * output_size(shape, 1);
}

}  // namespace

bool is_small_convolution(const ConvolutionShape& shape, const at::Tensor& like) {
  return fits(shape, like) && output_pixels(shape) <= most_pixels;
}

bool has_small_weight_gradient(const ConvolutionShape& shape, const at::Tensor& like) {
  const bool is_wide = shape.weight[0] >= wide && shape.weight[1] >= wide;
  return fits(shape, like) &&
         output_pixels(shape) <= (is_wide ? most_pixels_for_weight : most_pixels);
}

at::Tensor small_convolution(const at::Tensor& input, const at::Tensor& weight,
                             const at::Tensor& bias, const Conv2dGeometry& geometry) {
  const ConvolutionShape shape{input.sizes(), weight.sizes(), geometry};
  const at::Tensor x = by_pixel(input);
  const at::Tensor w = by_pixel(weight);
  Sums sums({output_pixels(shape), input.size(0), weight.size(0)}, input);
  for (const Joint& joint : joints_of(shape)) {
    sums.add(joint.out, x.select(0, joint.in), w.select(0, joint.place).t());
  }
  const at::Tensor output =
      with_pixels_last(sums.finished(), output_size(shape, 0), output_size(shape, 1))
          .contiguous(input.suggest_memory_format());
  return bias.defined() ? output + bias.view({1, -1, 1, 1}) : output;
}

at::Tensor small_input_gradient(const at::Tensor& grad_output, const at::Tensor& weight,
                                const ConvolutionShape& shape) {
  const at::Tensor g = by_pixel(grad_output);
  const at::Tensor w = by_pixel(weight);
  Sums sums({shape.input[2] * shape.input[3], shape.input[0], shape.input[1]}, grad_output);
  for (const Joint& joint : joints_of(shape)) {
    sums.add(joint.in, g.select(0, joint.out), w.select(0, joint.place));
  }
  return with_pixels_last(sums.finished(), shape.input[2], shape.input[3]);
}

at::Tensor small_weight_gradient(const at::Tensor& grad_output, const at::Tensor& input,
                                 const ConvolutionShape& shape) {
  const at::Tensor g = by_pixel(grad_output);
  const at::Tensor x = by_pixel(input);
  Sums sums({shape.weight[2] * shape.weight[3], shape.weight[0], shape.weight[1]}, grad_output);
  for (const Joint& joint : joints_of(shape)) {
    sums.add(joint.place, g.select(0, joint.out).t(), x.select(0, joint.in));
  }
  return with_pixels_last(sums.finished(), shape.weight[2], shape.weight[3]);
}

}  // namespace bissl::layers
