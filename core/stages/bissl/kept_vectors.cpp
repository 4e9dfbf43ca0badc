#include "stages/bissl/kept_vectors.h"

#include "bilevel/pretext_problem.h"
#include "bissl/error.h"
#include "models/memory_meter.h"

#include <ATen/ops/roll.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

/// H moves the entries of each tensor by one place, a million times as large. Its eigenvalues lie
/// on a circle around those of the identity, so that no Krylov space of few products holds a
/// solution: solves go on.
class MadeUpSystem : public ImplicitSystem {
 public:
  MadeUpSystem(const TensorList& parameters, const MemoryMeter& meter)
      : parameters_(parameters), names_(parameters.size(), "made up"), meter_(meter) {}

  TensorList hessian_product(const TensorList& x) override {
    constexpr size_t answers = 8;
    if (bytes_.size() == answers) {
      throw Error(ErrorKind::run, "the made-up system answers no more");
    }
    bytes_.push_back(meter_.bytes());
    constexpr double size = 1e6;
    TensorList moved;
    for (const at::Tensor& tensor : x) {
      moved.push_back(at::roll(tensor, {1}).mul_(size));
    }
    return moved;
  }
  TensorList gradient(const TensorList& shift) override {
    return shift.empty() ? zeros_like(parameters_) : hessian_product(shift);
  }
  const TensorList& parameters() const override { return parameters_; }
  const std::vector<std::string>& parameter_names() const override { return names_; }
  double weight() const override { return 1.0; }
  uint64_t id() const override { return id_; }

  /// What was there when each answer was asked for.
  const std::vector<int64_t>& bytes() const { return bytes_; }

 private:
  const TensorList& parameters_;
  std::vector<std::string> names_;
  const MemoryMeter& meter_;
  uint64_t id_ = next_system_id();
  std::vector<int64_t> bytes_;
};

/// A central difference asks twice for each product: growth is taken over two answers. What is made
/// at the first ones alone is not kept of each.
double least_growth(const std::vector<int64_t>& bytes) {
  constexpr size_t settled = 2;
  constexpr size_t apart = 2;
  if (bytes.size() <= settled + apart) {
    return 0;
  }
  int64_t least = bytes[settled + apart] - bytes[settled];
  for (size_t i = settled + 1; i + apart < bytes.size(); ++i) {
    least = std::min(least, bytes[i + apart] - bytes[i]);
  }
  return std::max(0.0, static_cast<double>(least) / static_cast<double>(apart));
}

}  // namespace

double bytes_kept_of_each(Hypergradient& approximator, const TensorList& parameters) {
  const c10::NoGradGuard no_grad;
  const TensorList right = copy(parameters);
  const MemoryMeter meter;
  MadeUpSystem system(parameters, meter);
  try {
    approximator.solve(right, system);
    return 0;  // it was ready after these few
  } catch (const std::exception&) {
    return least_growth(system.bytes());  // what is really wrong shows when a step is tried
  }
}

}  // namespace bissl::host
