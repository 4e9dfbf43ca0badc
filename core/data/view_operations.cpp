#include "data/view_operations.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <array>

namespace bissl::host {
namespace {

/// What each sample of a resized direction is made of, (N, outputs, inputs): the weights of the
/// triangle filter of bissl/crops.h. Positions are taken apart into whole numbers, of which single
/// precision has all that images need, and a rest of at most 1/2, so that weights are as exact far
/// from the origin as near it.
at::Tensor filter_of(const at::Tensor& axes, int64_t outputs, int64_t inputs) {
  const auto number = [&axes](int64_t i) { return axes.narrow(1, i, 1); };
  const auto single = [](const at::Tensor& rows) { return rows.to(at::kFloat).unsqueeze(2); };
  const at::Tensor places = at::arange(outputs, axes.options());
  const at::Tensor centre = places.mul(number(3)).add_(number(4)).mul_(number(2));
  const at::Tensor whole = centre.floor();
  const at::Tensor samples = at::arange(inputs, axes.options().dtype(at::kFloat));
  const at::Tensor weights = samples.sub(single(whole.add(number(0))))
                                 .sub_(single(centre.sub(whole).sub_(0.5)))
                                 .abs_()
                                 .mul_(single(number(5)))
                                 .neg_()
                                 .add_(1)
                                 .clamp_min_(0);
  weights.mul_(samples.ge(single(number(0))));
  weights.mul_(samples.lt(single(number(0).add(number(1)))));
  return weights.div_(weights.sum(at::IntArrayRef{2}, /*keepdim=*/true));
}

/// A number of each image, for all its values.
at::Tensor for_images(const at::Tensor& numbers) {
  return numbers.to(at::kFloat).reshape({-1, 1, 1, 1});
}

/// (N, 1, H, W)
at::Tensor luminance_of(const at::Tensor& images) {
  if (images.size(1) == 1) {
    return images;
  }
  return images.narrow(1, 0, 1)
      .mul(0.2989)
      .add_(images.narrow(1, 1, 1), 0.587)
      .add_(images.narrow(1, 2, 1), 0.114);
}

/// factor · x + offset, clamped to [0, 1]
void scale_and_move(const at::Tensor& images, const at::Tensor& factor, const at::Tensor& offset) {
  images.mul_(factor).add_(offset).clamp_(0, 1);
}

/// (1 − factor) of each image
at::Tensor rest_of(const at::Tensor& numbers) { return for_images(numbers.neg().add_(1)); }

/// The part of the chroma that a channel lacks, for a position of 0 … 12 sixths of the colour
/// circle.
at::Tensor lacking_chroma(const at::Tensor& sextants, double channel) {
  const at::Tensor place = sextants.add(channel).remainder_(6);
  return at::minimum(place, place.neg().add_(4)).clamp_(0, 1);
}

/// The sixth of the colour circle, −1 … 5, of colours with this largest channel and range.
at::Tensor sector_of(const at::Tensor& red, const at::Tensor& green, const at::Tensor& blue,
                     const at::Tensor& value, const at::Tensor& range) {
  const at::Tensor divisor = range.masked_fill(range.eq(0), 1);
  const at::Tensor lacks_red = value.sub(red).div_(divisor);
  const at::Tensor lacks_green = value.sub(green).div_(divisor);
  const at::Tensor lacks_blue = value.sub(blue).div_(divisor);
  const at::Tensor others = at::where(value.eq(green), lacks_red.sub(lacks_blue).add_(2),
                                      lacks_green.sub(lacks_red).add_(4));
  return at::where(value.eq(red), lacks_blue.sub(lacks_green), others);
}

void turn_hues(const at::Tensor& images, const at::Tensor& numbers) {
  const at::Tensor red = images.narrow(1, 0, 1);
  const at::Tensor green = images.narrow(1, 1, 1);
  const at::Tensor blue = images.narrow(1, 2, 1);
  const at::Tensor value = at::maximum(red, at::maximum(green, blue));
  const at::Tensor range = value.sub(at::minimum(red, at::minimum(green, blue)));
  const at::Tensor circle =
      sector_of(red, green, blue, value, range).div_(6).add_(1).add_(for_images(numbers));
  const at::Tensor sextants = circle.frac().mul_(6);
  constexpr std::array<double, 3> channels = {5, 3, 1};
  for (int64_t c = 0; c < 3; ++c) {
    const at::Tensor lacking = lacking_chroma(sextants, channels[static_cast<size_t>(c)]);
    images.narrow(1, c, 1).copy_(value.sub(lacking.mul_(range)).clamp_(0, 1));
  }
}

/// Where the pixels of a direction with reflected ends are from, (length + 2 · radius).
at::Tensor reflected_places(int64_t length, int64_t radius, const c10::Device& device) {
  const at::Tensor places =
      at::arange(-radius, length + radius, at::TensorOptions(at::kLong).device(device));
  if (length == 1) {
    return places.zero_();
  }
  const int64_t period = 2 * (length - 1);
  const at::Tensor folded = places.remainder(period);
  return at::minimum(folded, folded.neg().add_(period));
}

/// Along dimension 2 or 3, with a kernel for each image: `weights` is (N, K), K odd.
at::Tensor blurred_along(const at::Tensor& images, const at::Tensor& weights, int64_t dimension) {
  const int64_t length = images.size(dimension);
  const int64_t taps = weights.size(1);
  const at::Tensor padded =
      images.index_select(dimension, reflected_places(length, taps / 2, images.device()));
  at::Tensor sum = at::zeros_like(images);
  for (int64_t k = 0; k < taps; ++k) {
    sum.addcmul_(padded.narrow(dimension, k, length), for_images(weights.narrow(1, k, 1)));
  }
  return sum;
}

void blur_images(const at::Tensor& images, const at::Tensor& numbers, int64_t largest_kernel) {
  const at::Tensor sizes = numbers.narrow(1, 0, 1);
  const at::Tensor sigmas = numbers.narrow(1, 1, 1);
  const at::Tensor places = at::arange(largest_kernel, numbers.options()).sub_(largest_kernel / 2);
  const at::Tensor heights = places.div(sigmas).square_().mul_(-0.5).exp_();
  heights.mul_(places.abs().mul_(2).lt(sizes));  // a smaller kernel has fewer
  const at::Tensor weights =
      heights.div(heights.sum(at::IntArrayRef{1}, /*keepdim=*/true)).to(at::kFloat);
  images.copy_(blurred_along(blurred_along(images, weights, 3), weights, 2));
}

/// From one place of dimension 2 or 3 to another, by a number for each image; what comes in is 0.
at::Tensor moved_along(const at::Tensor& images, const at::Tensor& by, int64_t dimension) {
  const int64_t length = images.size(dimension);
  const at::Tensor from =
      at::arange(length, at::TensorOptions(at::kLong).device(images.device())).sub(by);
  std::array<int64_t, 4> shape = {images.size(0), 1, 1, 1};
  shape[static_cast<size_t>(dimension)] = length;
  const at::Tensor inside = from.ge(0).logical_and_(from.lt(length)).reshape(shape);
  const at::Tensor index = from.clamp(0, length - 1).reshape(shape).expand(images.sizes());
  return images.gather(dimension, index).mul_(inside);
}

void shift_images(const at::Tensor& images, const at::Tensor& numbers) {
  const at::Tensor whole = numbers.to(at::kLong);
  const at::Tensor down = moved_along(images, whole.narrow(1, 0, 1), 2);
  images.copy_(moved_along(down, whole.narrow(1, 1, 1), 3));
}

void normalize_images(const at::Tensor& images, const at::Tensor& numbers) {
  const int64_t channels = images.size(1);
  const auto of_channels = [channels](const at::Tensor& rows) {
    return rows.to(at::kFloat).reshape({-1, channels, 1, 1});
  };
  images.sub_(of_channels(numbers.narrow(1, 0, channels)))
      .mul_(of_channels(numbers.narrow(1, channels, channels).reciprocal()));
}

}  // namespace

at::Tensor resampled(const at::Tensor& images, const at::Tensor& vertical,
                     const at::Tensor& horizontal, int64_t height, int64_t width) {
  const int64_t rows = images.size(0);
  const int64_t rows_of_image = images.size(1);
  const int64_t columns = images.size(2);
  const int64_t channels = images.size(3);
  const at::Tensor values =
      images.to(at::kFloat).reshape({rows, rows_of_image, columns * channels});
  const at::Tensor lower = filter_of(vertical, height, rows_of_image)
                               .bmm(values)
                               .view({rows, height, columns, channels})
                               .permute({0, 3, 1, 2})
                               .reshape({rows, channels * height, columns});
  const at::Tensor filter = filter_of(horizontal, width, columns);
  const at::Tensor result = lower.bmm(filter.transpose(1, 2)).view({rows, channels, height, width});
  if (images.scalar_type() == at::kByte) {
    result.div_(255);
  }
  return result;
}

void change_images(PlannedChange::Kind kind, const at::Tensor& images, const at::Tensor& numbers,
                   int64_t largest_kernel) {
  using Kind = PlannedChange::Kind;
  switch (kind) {
    case Kind::shift:
      shift_images(images, numbers);
      break;
    case Kind::brightness:
      images.mul_(for_images(numbers)).clamp_(0, 1);
      break;
    case Kind::contrast:
      scale_and_move(images, for_images(numbers),
                     luminance_of(images)
                         .mean(at::IntArrayRef{1, 2, 3}, /*keepdim=*/true)
                         .mul_(rest_of(numbers)));
      break;
    case Kind::saturation:
      scale_and_move(images, for_images(numbers), luminance_of(images).mul(rest_of(numbers)));
      break;
    case Kind::hue:
      turn_hues(images, numbers);
      break;
    case Kind::grayscale:
      images.copy_(luminance_of(images).expand_as(images));
      break;
    case Kind::blur:
      blur_images(images, numbers, largest_kernel);
      break;
    case Kind::solarize:
      images.copy_(at::where(images.ge(for_images(numbers)), images.neg().add_(1), images));
      break;
    case Kind::normalize:
      normalize_images(images, numbers);
      break;
  }
}

}  // namespace bissl::host
