// Times SimCLR's loss by itself: nt_xent_bench [THREADS [BATCH ...]]
//
// For each batch (128, 512 and 2048 samples unless given; embeddings of 128 numbers) prints
// milliseconds of a forward pass, of one with its backward pass, and of a Hessian product whose
// graph is kept, of nt_xent and of equation 1 written down with LibTorch's operations, which are
// called in turns; medians.

#include "nt_xent.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/matmul.h>
#include <fmt/format.h>
#include <torch/autograd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <vector>

namespace bissl {
namespace {

using Loss = at::Tensor (*)(const at::Tensor& first, const at::Tensor& second, double temperature);

/// The similarities divided and their diagonal changed by recorded operations.
at::Tensor plain_nt_xent(const at::Tensor& first, const at::Tensor& second, double temperature) {
  const int64_t n = first.size(0);
  const at::Tensor both = at::cat({first, second});
  const at::Tensor unit = both / both.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
  at::Tensor similarities = at::matmul(unit, unit.t()) / temperature;
  similarities.fill_diagonal_(-std::numeric_limits<double>::infinity());
  const at::Tensor rows = at::arange(2 * n, similarities.options().dtype(at::kLong));
  return at::cross_entropy_loss(similarities, (rows + n).remainder(2 * n));
}

/// Numbers in [−1, 1), the same each time.
at::Tensor noise(int64_t rows, int64_t width, double offset) {
  const at::Tensor i = at::arange(rows * width, at::kDouble).add(offset);
  return i.mul(0.37).sin().mul(43758.5453).frac().view({rows, width}).to(at::kFloat).contiguous();
}

struct Milliseconds {
  std::vector<double> forward;
  std::vector<double> backward;
  std::vector<double> product;
};

template <class Work>
double milliseconds_of(Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

void measure(Loss loss, int64_t batch, Milliseconds& all) {
  constexpr int64_t width = 128;
  constexpr double temperature = 0.5;
  const at::Tensor first = noise(batch, width, 0).requires_grad_();
  const at::Tensor second = noise(batch, width, 1e7).requires_grad_();
  const at::Tensor direction = noise(batch, width, 2e7);
  at::Tensor value;
  const double forward = milliseconds_of([&] { value = loss(first, second, temperature); });
  const double backward = milliseconds_of([&] { torch::autograd::grad({value}, {first, second}); });
  all.forward.push_back(forward);
  all.backward.push_back(forward + backward);
  value = loss(first, second, temperature);
  const at::Tensor gradient = torch::autograd::grad({value}, {first, second}, {}, {}, true)[0];
  const at::Tensor along = (gradient * direction).sum();
  all.product.push_back(milliseconds_of([&] {
    torch::autograd::grad({along}, {first, second}, {}, /*retain_graph=*/true);
  }));
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print(const char* what, int64_t batch, const Milliseconds& all) {
  fmt::print("{:>6}  {:<22} {:>10.3f} {:>10.3f} {:>10.3f}\n", batch, what, median(all.forward),
             median(all.backward), median(all.product));
}

int run(int count, char** arguments) {
  constexpr int turns = 9;
  at::set_num_threads(count > 1 ? std::atoi(arguments[1]) : 1);
  std::vector<int64_t> batches = {128, 512, 2048};
  if (count > 2) {
    batches.clear();
    for (int i = 2; i < count; ++i) {
      batches.push_back(std::atoll(arguments[i]));
    }
  }
  fmt::print("{:>6}  {:<22} {:>10} {:>10} {:>10}\n", "batch", "ms", "forward", "backward",
             "product");
  for (const int64_t batch : batches) {
    Milliseconds ours;
    Milliseconds plain;
    for (int turn = 0; turn < turns; ++turn) {
      measure(nt_xent, batch, ours);
      measure(plain_nt_xent, batch, plain);
    }
    print("nt_xent", batch, ours);
    print("LibTorch's operations", batch, plain);
  }
  return 0;
}

}  // namespace
}  // namespace bissl

int main(int count, char** arguments) { return bissl::run(count, arguments); }
