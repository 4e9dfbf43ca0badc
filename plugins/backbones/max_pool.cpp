#include "max_pool.h"

#include "max_pool_kernels.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/max_pool2d.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace bissl {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// Input values that are worth a thread.
constexpr int64_t values_of_a_thread = 32768;

/// Calls `work(plane)` for all planes of `images`.
template <class Work>
void for_planes(const at::Tensor& images, const Work& work) {
  const int64_t pixels = std::max<int64_t>(1, images.size(2) * images.size(3));
  at::parallel_for(0, images.size(0) * images.size(1),
                   std::max<int64_t>(1, values_of_a_thread / pixels),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t plane = begin; plane < end; ++plane) {
                       work(plane);
                     }
                   });
}

/// Runs `work` with the type of `images`.
template <class Work>
at::Tensor typed(const at::Tensor& images, const Work& work) {
  return images.scalar_type() == at::kFloat ? work(float()) : work(double());
}

// With the places of the largest values held still, the layer and its gradient are linear, and each
// is the transpose of the other: gathering the places' values, and adding to them.

at::Tensor gathered(const at::Tensor& images, const at::Tensor& places);
at::Tensor spread(const at::Tensor& values, const at::Tensor& places,
                  const std::vector<int64_t>& shape);

struct Gather : public Function<Gather> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& images,
                            const at::Tensor& places) {
    context->saved_data["places"] = places;
    context->saved_data["shape"] = images.sizes().vec();
    const at::Tensor from = images.contiguous();
    at::Tensor result = at::empty(places.sizes(), images.options());
    const int64_t pixels = images.size(2) * images.size(3);
    const int64_t windows = places.size(2) * places.size(3);
    return typed(images, [&](auto zero) {
      using T = decltype(zero);
      for_planes(images, [&](int64_t plane) {
        max_pool_kernels::gather(from.data_ptr<T>() + plane * pixels,
                                 places.data_ptr<uint8_t>() + plane * windows, images.size(2),
                                 images.size(3), result.data_ptr<T>() + plane * windows);
      });
      return result;
    });
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    return {spread(cotangents[0], context->saved_data["places"].toTensor(),
                   context->saved_data["shape"].toIntVector()),
            {}};
  }
};

struct Spread : public Function<Spread> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values,
                            const at::Tensor& places, const std::vector<int64_t>& shape) {
    context->saved_data["places"] = places;
    const at::Tensor from = values.contiguous();
    at::Tensor result = at::empty(shape, values.options());
    const int64_t pixels = shape[2] * shape[3];
    const int64_t windows = places.size(2) * places.size(3);
    return typed(values, [&](auto zero) {
      using T = decltype(zero);
      for_planes(result, [&](int64_t plane) {
        max_pool_kernels::spread(from.data_ptr<T>() + plane * windows,
                                 places.data_ptr<uint8_t>() + plane * windows, shape[2], shape[3],
                                 result.data_ptr<T>() + plane * pixels);
      });
      return result;
    });
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    return {gathered(cotangents[0], context->saved_data["places"].toTensor()), {}, {}};
  }
};

at::Tensor gathered(const at::Tensor& images, const at::Tensor& places) {
  return Gather::apply(images, places);
}

at::Tensor spread(const at::Tensor& values, const at::Tensor& places,
                  const std::vector<int64_t>& shape) {
  return Spread::apply(values, places, shape);
}

struct MaxPool : public Function<MaxPool> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input) {
    const int64_t height = (input.size(2) + 1) / 2;
    const int64_t width = (input.size(3) + 1) / 2;
    at::Tensor output = at::empty({input.size(0), input.size(1), height, width}, input.options());
    const at::Tensor places = at::empty(output.sizes(), at::kByte);
    const int64_t pixels = input.size(2) * input.size(3);
    context->saved_data["places"] = places;
    context->saved_data["shape"] = input.sizes().vec();
    return typed(input, [&](auto zero) {
      using T = decltype(zero);
      for_planes(input, [&](int64_t plane) {
        max_pool_kernels::largest(input.data_ptr<T>() + plane * pixels, input.size(2),
                                  input.size(3), output.data_ptr<T>() + plane * height * width,
                                  places.data_ptr<uint8_t>() + plane * height * width);
      });
      return output;
    });
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    return {spread(cotangents[0], context->saved_data["places"].toTensor(),
                   context->saved_data["shape"].toIntVector())};
  }
};

}  // namespace

at::Tensor stem_max_pool(const at::Tensor& input) {
  const bool fits = input.device().is_cpu() && input.dim() == 4 && input.is_contiguous() &&
                    input.numel() > 0 &&
                    (input.scalar_type() == at::kFloat || input.scalar_type() == at::kDouble);
  return fits ? MaxPool::apply(input) : at::max_pool2d(input, {3, 3}, {2, 2}, {1, 1});
}

}  // namespace bissl
