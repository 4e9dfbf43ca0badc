// Not guarded: included once by each file that has the loops in a variant of its own, behind
// definitions of BISSL_VECTOR_CLONES, of a new name for the namespace, and of SUM_RESULTS.

#include "../../sdk/src/batch_norm_kernels.cpp"

#include "sums_test.h"

namespace bissl::host::test {
namespace {

template <class T>
RunResults<T> results_of(const Run<T>& run) {
  batch_norm_kernels::Sums sums;
  batch_norm_kernels::add_run(run.x.data(), run.g.data(), run.a.data(), run.size(), run.mean,
                              run.inverse_deviation, sums);
  RunResults<T> results{{sums.a, sums.g, sums.ax, sums.gx, sums.ag}, run.x, run.x};
  batch_norm_kernels::write_run(run.x.data(), run.g.data(), run.a.data(), run.size(), run.mean,
                                run.inverse_deviation, {1.1, 0.5, 0.2, 0.3, -0.1, 0.7, 0.4},
                                results.in_output.data(), results.in_input.data());
  return results;
}

}  // namespace

RunResults<float> SUM_RESULTS(const Run<float>& run) { return results_of(run); }
RunResults<double> SUM_RESULTS(const Run<double>& run) { return results_of(run); }

}  // namespace bissl::host::test
