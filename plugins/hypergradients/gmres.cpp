#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

struct Options {
  SystemOptions system;
  int64_t iterations = 10;
  double tolerance = 0.1;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("iterations", &Options::iterations,
           "most steps; each makes one product and keeps one vector of the backbone's size")
      .at_least(1)
      .unit("iterations");
  schema
      .add("tolerance", &Options::tolerance,
           "stop when the residual falls below this share of ‖u‖; 0 uses all iterations")
      .at_least(0)
      .less_than(1);
  schema.embed(&Options::system, system_schema());
  return schema;
}

/// What is below this share of what it is compared with is none.
constexpr double rounding = 1e-14;

/// The QR factorisation of the Hessenberg matrix that Arnoldi's method makes, a plane rotation a
/// column, and the right side ‖u‖·e₁ in its coordinates (Saad and Schultz 1986, section 3.2).
class RotatedColumns {
 public:
  explicit RotatedColumns(double length) : right_{length} {}

  /// Adds a column; its last element is the one below the diagonal.
  void add(std::vector<double> column) {
    const size_t k = columns_.size();
    for (size_t i = 0; i < k; ++i) {
      rotate(cosines_[i], sines_[i], column[i], column[i + 1]);
    }
    double size = 0;
    for (const double element : column) {
      size = std::max(size, std::abs(element));
    }
    const double length = std::hypot(column[k], column[k + 1]);
    if (length <= rounding * size) {  // A maps the last vector into the span of the images so far
      column[k] = column[k + 1] = 0;
    }
    cosines_.push_back(length > rounding * size ? column[k] / length : 0.0);
    sines_.push_back(length > rounding * size ? column[k + 1] / length : 1.0);
    rotate(cosines_[k], sines_[k], column[k], column[k + 1]);
    right_.push_back(0.0);
    rotate(cosines_[k], sines_[k], right_[k], right_[k + 1]);
    columns_.push_back(std::move(column));
  }

  /// The norm of the residual.
  double residual() const { return std::abs(right_.back()); }

  /// The coordinates of the solution. Those of a last column without a diagonal are 0: A is
  /// singular and the Krylov space exhausted.
  std::vector<double> solution() const {
    std::vector<double> y(right_.begin(), right_.end() - 1);
    for (size_t i = y.size(); i-- > 0;) {
      for (size_t j = i + 1; j < y.size(); ++j) {
        y[i] -= columns_[j][i] * y[j];
      }
      y[i] = columns_[i][i] == 0 ? 0.0 : y[i] / columns_[i][i];
    }
    return y;
  }

 private:
  static void rotate(double cosine, double sine, double& above, double& below) {
    const double first = cosine * above + sine * below;
    below = cosine * below - sine * above;
    above = first;
  }

  std::vector<double> right_;
  std::vector<double> cosines_;
  std::vector<double> sines_;
  std::vector<std::vector<double>> columns_;
};

/// GMRES without restarts from v = 0 (Saad and Schultz 1986, algorithm 3, with modified
/// Gram-Schmidt): after k products v has the smallest residual of all vectors of the Krylov space.
/// Unlike MINRES it takes nothing for granted about A. Exact products are symmetric, finite
/// differences are not, and the short recurrence of MINRES loses orthogonality in single precision.
HypergradientSolution solve_gmres(const TensorList& u, LinearSystem& apply,
                                  const Options& options) {
  HypergradientSolution solution;
  solution.status = SolveStatus::iteration_limit;
  const double u_norm = norm(u);
  RotatedColumns columns(u_norm);
  std::vector<TensorList> basis{copy(u)};
  scale(basis[0], 1.0 / u_norm);
  while (solution.iterations < options.iterations) {
    TensorList next = apply(basis.back());
    const double image = norm(next);
    std::vector<double> column;
    for (const TensorList& vector : basis) {
      column.push_back(dot(vector, next));
      add_scaled(next, -column.back(), vector);
    }
    const double length = norm(next);
    if (!std::isfinite(length) || !std::isfinite(image)) {
      solution.status = SolveStatus::diverged;
      break;
    }
    const bool exhausted = length <= rounding * image;
    column.push_back(exhausted ? 0.0 : length);
    columns.add(std::move(column));
    ++solution.iterations;
    solution.relative_residual = columns.residual() / u_norm;
    if (solution.relative_residual <= std::max(options.tolerance, rounding)) {
      solution.status = SolveStatus::converged;
      break;
    }
    if (exhausted) {
      break;
    }
    scale(next, 1.0 / length);
    basis.push_back(std::move(next));
  }
  solution.v = zeros_like(u);
  const std::vector<double> coordinates = columns.solution();
  for (size_t i = 0; i < coordinates.size(); ++i) {
    add_scaled(solution.v, coordinates[i], basis[i]);
  }
  return solution;
}

class Gmres : public Hypergradient {
 public:
  explicit Gmres(Options options) : options_(std::move(options)) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    LinearSystem apply(system, options_.system);
    if (norm(u) == 0) {
      return apply.zero_solution(u);
    }
    HypergradientSolution solution = solve_gmres(u, apply, options_);
    apply.finish(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override { return options_.system.needs(options_.iterations); }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("gmres", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Gmres>(
      {.name = "gmres",
       .summary =
           "least residual of (I + H/(λ + δ))·v = u over the Krylov space where products are "
           "not symmetric, as finite differences are; keeps a vector an iteration",
       .source = "Saad and Schultz 1986, SIAM J. Sci. Stat. Comput. 7(3), algorithm 3"},
      schema());
}
