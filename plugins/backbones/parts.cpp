#include "parts.h"

#include "bissl/error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <torch/nn/init.h>

namespace bissl {
namespace {

namespace nn = torch::nn;

void clear(const at::Tensor& bias) {
  if (bias.defined()) {
    nn::init::zeros_(bias);
  }
}

}  // namespace

at::Tensor drop_path(const at::Tensor& branch, double rate, bool training) {
  if (!training || rate <= 0) {
    return branch;
  }
  std::vector<int64_t> shape(size_t(branch.dim()), 1);
  shape[0] = branch.size(0);
  const double kept = 1 - rate;
  return branch * at::empty(shape, branch.options()).bernoulli_(kept).div_(kept);
}

double drop_path_rate(double rate, int64_t index, int64_t blocks) {
  return blocks > 1 ? rate * double(index) / double(blocks - 1) : 0.0;
}

Conv2d same_convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                        bool bias) {
  return Conv2d(nn::Conv2dOptions(in, out, kernel)
                    .stride(stride)
                    .padding(kernel / 2)
                    .groups(groups)
                    .bias(bias));
}

void start_for_relu(nn::Module& network) {
  for (const auto& module : network.modules(/*include_self=*/false)) {
    if (auto* convolution = module->as<nn::Conv2dImpl>()) {
      nn::init::kaiming_normal_(convolution->weight, 0.0, torch::kFanOut, torch::kReLU);
      clear(convolution->bias);
    }
  }
}

void start_small(nn::Module& network) {
  for (const auto& module : network.modules(/*include_self=*/false)) {
    if (auto* convolution = module->as<nn::Conv2dImpl>()) {
      nn::init::normal_(convolution->weight, 0, 0.02);
      clear(convolution->bias);
    } else if (auto* linear = module->as<nn::LinearImpl>()) {
      nn::init::normal_(linear->weight, 0, 0.02);
      clear(linear->bias);
    }
  }
}

void require_size(const ImageShape& input, int64_t least, const std::string& network) {
  if (input.height < least || input.width < least) {
    fail_input("{} needs images of at least {}x{} pixels, found {}x{}", network, least, least,
               input.height, input.width);
  }
}

NormedConvolution::NormedConvolution(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                     int64_t groups) {
  convolution_ = add(same_convolution(in, out, kernel, stride, groups, false));
  norm_ = add(BatchNorm(out));
}

}  // namespace bissl
