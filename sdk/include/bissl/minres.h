#pragma once

#include "bissl/export.h"
#include "bissl/tensor_list.h"

#include <cstdint>
#include <functional>

namespace bissl {

/// The result of a run of minres.
struct MinresResult {
  TensorList x;                    ///< the solution so far
  int64_t iterations = 0;          ///< and so products
  double relative_residual = 1.0;  ///< ‖b − A·x‖/‖b‖ by the method's recurrence
  bool converged = false;          ///< the residual fell below the tolerance
  bool finite = true;              ///< false: a product was not finite, and x is not to be used
};

/// MINRES (Paige and Saunders 1975, SIAM J. Numer. Anal. 12(4), section 6) for A·x = b from x = 0:
/// after k products x has the smallest residual of all vectors of the Krylov space, whatever the
/// signs of A's eigenvalues, and so never a larger one than x = 0.
///
/// `apply` is x ↦ A·x with A symmetric; it is called once an iteration. `b` must not be zero.
/// Records no gradients.
BISSL_API MinresResult minres(const std::function<TensorList(const TensorList&)>& apply,
                              const TensorList& b, int64_t iterations, double tolerance);

}  // namespace bissl
