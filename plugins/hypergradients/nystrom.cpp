#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"
#include "bissl/random.h"

#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <set>

namespace bissl {
namespace {

struct Options {
  SystemOptions system;
  int64_t rank = 10;
  double cutoff = 1e-2;
  int64_t seed = 0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("rank", &Options::rank,
           "columns of H that are sampled; each costs one product, once for all upper steps of a "
           "round")
      .at_least(1)
      .unit("columns");
  schema
      .add(
          "cutoff", &Options::cutoff,
          "eigenvalues of the sampled block below this share of its largest are left out, and then "
          "those of ρ·Λ + BᵀB in the same way: where H is large beside ρ = λ + δ, eigenvalues of H "
          "up to about the root of this share; where H has both signs, small ones blow up")
      .more_than(0)
      .less_than(1);
  schema.add("seed", &Options::seed, "seed of the choice of columns").at_least(0);
  schema.embed(&Options::system, system_schema());
  return schema;
}

/// `count` different indices below `size`, in ascending order.
std::vector<int64_t> sample_columns(int64_t count, int64_t size, int64_t seed) {
  RandomStream stream(static_cast<uint64_t>(seed), "nystrom/columns");
  std::set<int64_t> chosen;
  while (static_cast<int64_t>(chosen.size()) < std::min(count, size)) {
    chosen.insert(static_cast<int64_t>(stream.below(static_cast<uint64_t>(size))));
  }
  return {chosen.begin(), chosen.end()};
}

/// v = ρ·(ρI + H_k)⁻¹·u with ρ = λ + δ and the Nyström approximation H_k = C·W⁺·Cᵀ of rank k: C are
/// k columns of H, W is their k rows (Hataya and Yamada 2023, equations 5 and 6). With W⁺ =
/// Q·Λ⁻¹·Qᵀ and B = C·Q, Woodbury's formula gives v = u − B·(ρ·Λ + Bᵀ·B)⁻¹·Bᵀ·u.
///
/// The columns are made once for a lower problem. All small algebra is in double precision. W may
/// be indefinite, and ρ·Λ + BᵀB then singular: directions that are nearly so are left out.
class Nystrom : public Hypergradient {
 public:
  explicit Nystrom(Options options) : options_(std::move(options)) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    LinearSystem apply(system, options_.system);
    if (system_ != system.id()) {
      build(u, apply);
      system_ = system.id();
    }
    HypergradientSolution solution;
    if (!finite_) {
      solution.status = SolveStatus::diverged;
    } else if (values_.numel() == 0) {  // the sampled block of H is zero
      solution.v = copy(u);
    } else {
      solution.v = solve_with_basis(u, apply.weight());
    }
    apply.finish(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override { return options_.system.needs(0, options_.rank); }

 private:
  /// u − B·(ρ·Λ + Bᵀ·B)⁻¹·Bᵀ·u for ρ = `weight`.
  TensorList solve_with_basis(const TensorList& u, double weight) const {
    const at::Tensor right = flatten(u);
    const at::Tensor core = values_.mul(weight).diag().add(basis_.t().matmul(basis_));
    const at::Tensor inner = solve_symmetric(core, basis_.t().matmul(right));
    return unflatten(right.sub(basis_.matmul(inner)), u);
  }

  void build(const TensorList& u, LinearSystem& apply) {
    const std::vector<int64_t> indices = sample_columns(options_.rank, count(u), options_.seed);
    TensorList columns;
    for (const int64_t index : indices) {
      columns.push_back(flatten(apply.hessian_product(unit_vector(index, u))));
    }
    const at::Tensor all = at::stack(columns, 1);
    finite_ = all_finite({all});
    if (!finite_) {
      return;
    }
    TensorList rows;
    for (const int64_t index : indices) {
      rows.push_back(all[index]);
    }
    const at::Tensor block = at::stack(rows, 0);
    const auto [values, vectors] = at::linalg_eigh(block.add(block.t()).mul(0.5));
    const at::Tensor kept = significant(values);
    values_ = values.index_select(0, kept);
    basis_ = all.matmul(vectors.index_select(1, kept));
  }

  /// Indices of the values whose size is not below the cutoff's share of the largest.
  at::Tensor significant(const at::Tensor& values) const {
    const at::Tensor size = values.abs();
    return size.gt(size.max().mul(options_.cutoff)).nonzero().view({-1});
  }

  /// matrix⁺·right for a symmetric matrix.
  at::Tensor solve_symmetric(const at::Tensor& matrix, const at::Tensor& right) const {
    const auto [values, vectors] = at::linalg_eigh(matrix);
    const at::Tensor kept = significant(values);
    const at::Tensor basis = vectors.index_select(1, kept);
    return basis.matmul(basis.t().matmul(right).div(values.index_select(0, kept)));
  }

  Options options_;
  uint64_t system_ = 0;  ///< that basis and values belong to
  bool finite_ = true;
  at::Tensor basis_;   ///< B, (parameters, k)
  at::Tensor values_;  ///< the diagonal of Λ, (k)
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("nystrom", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Nystrom>(
      {.name = "nystrom",
       .summary = "solves (I + H/(λ + δ))·v = u with a Nyström approximation of H of low rank",
       .source = "Hataya and Yamada 2023, arXiv 2302.09726, equations 5 and 6"},
      schema());
}
