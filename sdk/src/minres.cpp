#include "bissl/minres.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

/// The QR factorisation of the Lanczos matrix, a plane rotation a step (Paige and Saunders 1975,
/// section 6; notation of the authors' published program).
struct Rotation {
  double cosine = -1;
  double sine = 0;
  double delta_bar = 0;
  double epsilon = 0;
  double phi_bar = 0;  ///< the norm of the residual
};

/// A relative residual below this is none.
constexpr double rounding = 1e-14;

/// A diagonal element below this share of the Lanczos matrix is what rounding has left of 0: a step
/// over it would have no bound.
constexpr double singular = 1e-10;

}  // namespace

MinresResult minres(const std::function<TensorList(const TensorList&)>& apply, const TensorList& b,
                    int64_t iterations, double tolerance) {
  const c10::NoGradGuard no_grad;
  MinresResult result;
  result.x = zeros_like(b);
  const double b_norm = norm(b);
  Rotation state;
  state.phi_bar = b_norm;
  TensorList before = zeros_like(b);  // the Lanczos vectors, times their β
  TensorList present = copy(b);
  TensorList w = zeros_like(b);
  TensorList w_before = zeros_like(b);
  double beta = b_norm;
  double beta_before = 0;
  double size = 0;  // of the largest column of the Lanczos matrix so far
  while (result.iterations < iterations) {
    TensorList lanczos = copy(present);
    scale(lanczos, 1.0 / beta);
    TensorList next = apply(lanczos);
    if (result.iterations > 0) {
      add_scaled(next, -beta / beta_before, before);
    }
    const double alpha = dot(lanczos, next);
    add_scaled(next, -alpha / beta, present);
    before = std::move(present);
    present = std::move(next);
    beta_before = beta;
    beta = norm(present);
    if (!std::isfinite(alpha) || !std::isfinite(beta)) {
      result.finite = false;
      break;
    }
    const double old_epsilon = state.epsilon;
    const double delta = state.cosine * state.delta_bar + state.sine * alpha;
    const double gamma_bar = state.sine * state.delta_bar - state.cosine * alpha;
    state.epsilon = state.sine * beta;
    state.delta_bar = -state.cosine * beta;
    const double gamma = std::hypot(gamma_bar, beta);
    size = std::max(size, std::hypot(result.iterations > 0 ? beta_before : 0.0, alpha, beta));
    if (gamma <= singular * size) {
      // A is singular on the Krylov space, which is exhausted: no step lowers the residual.
      ++result.iterations;
      break;
    }
    state.cosine = gamma_bar / gamma;
    state.sine = beta / gamma;
    const double phi = state.cosine * state.phi_bar;
    state.phi_bar *= state.sine;

    TensorList w_next = std::move(lanczos);
    add_scaled(w_next, -old_epsilon, w_before);
    add_scaled(w_next, -delta, w);
    scale(w_next, 1.0 / gamma);
    w_before = std::move(w);
    w = std::move(w_next);
    add_scaled(result.x, phi, w);
    ++result.iterations;
    result.relative_residual = state.phi_bar / b_norm;
    // When the Krylov space is exhausted β vanishes up to rounding, and the residual with it.
    if (result.relative_residual <= std::max(tolerance, rounding)) {
      result.converged = true;
      break;
    }
  }
  return result;
}

}  // namespace bissl
