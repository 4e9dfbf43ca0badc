#include "bissl/hypergradient.h"
#include "bissl/plugin.h"

namespace bissl {
namespace {

/// v = u: the curvature of the lower level is ignored.
class Identity : public Hypergradient {
 public:
  HypergradientSolution solve(const TensorList& u, ImplicitSystem& /*system*/) override {
    HypergradientSolution solution;
    solution.v = copy(u);
    return solution;
  }

  HypergradientNeeds needs() const override { return {}; }
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("identity", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Identity>(
      {.name = "identity",
       .summary = "v = u, as if the lower level had no curvature; no Hessian products",
       .source = "Luketina et al. 2016, arXiv 1511.06727 (T1-T2)"},
      Schema<NoOptions>());
}
