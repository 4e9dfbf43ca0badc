#include "bissl/error.h"
#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"
#include "bissl/random.h"
#include "bissl/system_abilities.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/im2col.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <utility>

namespace bissl {
namespace {

struct Options {
  double damping = 10.0;
  int64_t max_rows = 1024;
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_damping(schema, &Options::damping);
  schema
      .add("max_rows", &Options::max_rows,
           "most rows (samples, or places in an image) that a factor is estimated from; bounds the "
           "rank of factors and the time of their eigenvectors")
      .at_least(1)
      .unit("rows");
  return schema;
}

struct EkfacOptions {
  Options factors;
  int64_t samples = 64;
};

Schema<EkfacOptions> ekfac_schema() {
  Schema<EkfacOptions> schema;
  schema.embed(&EkfacOptions::factors, bissl::schema());
  schema
      .add("samples", &EkfacOptions::samples,
           "most samples that the eigenvalues are estimated from; each costs about a product of a "
           "layer's inputs with its eigenvectors")
      .at_least(1)
      .unit("samples");
  return schema;
}

/// Eigenvectors, as columns, and eigenvalues of a factor; of a wide one those with a value above 0.
struct EigenDecomposition {
  at::Tensor vectors;
  at::Tensor values;
};

/// Of scale·XᵀX for rows X. The smaller of XᵀX and XXᵀ is decomposed: they share their values.
EigenDecomposition eigen_of_gram(const at::Tensor& rows, double scale) {
  const bool wide = rows.size(0) < rows.size(1);
  const at::Tensor doubles = rows.to(at::kDouble);
  const at::Tensor gram =
      (wide ? doubles.matmul(doubles.t()) : doubles.t().matmul(doubles)).mul(scale);
  auto [values, vectors] = at::linalg_eigh(gram);
  if (!wide) {
    return {vectors, values.clamp_min(0)};
  }
  constexpr double cutoff = 1e-10;
  const at::Tensor kept = values.gt(values.max().mul(cutoff)).nonzero().view({-1});
  values = values.index_select(0, kept);
  vectors = doubles.t().matmul(vectors.index_select(1, kept)).mul(values.div(scale).rsqrt());
  return {vectors, values};
}

/// Up to `most` of the rows, spread over all of them, and the factor that makes up for the rest.
std::pair<at::Tensor, double> sample_rows(const at::Tensor& rows, int64_t most) {
  const int64_t all = rows.size(0);
  if (all <= most) {
    return {rows, 1.0};
  }
  // One of each of `most` equal stretches: the same ones in every solve.
  RandomStream stream(0, "kfac/rows");
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < most; ++i) {
    const int64_t first = all * i / most;
    const int64_t next = all * (i + 1) / most;
    chosen.push_back(first + static_cast<int64_t>(stream.below(uint64_t(next - first))));
  }
  return {rows.index_select(0, at::tensor(chosen, at::kLong).to(rows.device())),
          static_cast<double>(all) / static_cast<double>(most)};
}

/// What a layer's weight was multiplied with (rows, I), and the gradients of what came out
/// (rows, O): a row for each sample and place.
struct Rows {
  at::Tensor inputs;
  at::Tensor gradients;
  int64_t samples = 0;
};

/// Those of one group of a layer's channels. A linear layer has one group.
Rows rows_of(const LayerGradient& layer, const at::Tensor& weight, int64_t group) {
  if (!layer.convolution) {
    return {layer.input.reshape({-1, layer.input.size(-1)}),
            layer.output_gradient.reshape({-1, layer.output_gradient.size(-1)}),
            layer.input.size(0)};
  }
  const layers::Conv2dGeometry& g = layer.geometry;
  const int64_t channels = layer.input.size(1) / g.groups;
  const int64_t outputs = layer.output_gradient.size(1) / g.groups;
  const at::Tensor patches =
      at::im2col(layer.input.narrow(1, group * channels, channels).contiguous(),
                 {weight.size(2), weight.size(3)}, g.dilation, g.padding, g.stride);
  const at::Tensor gradients = layer.output_gradient.narrow(1, group * outputs, outputs);
  return {patches.transpose(1, 2).reshape({-1, patches.size(1)}),
          gradients.flatten(2).transpose(1, 2).reshape({-1, outputs}), layer.input.size(0)};
}

/// The curvature of some rows of a weight (and of a bias): A ⊗ G.
struct Block {
  size_t weight = 0;
  std::optional<size_t> bias;
  int64_t first_row = 0;
  int64_t rows = 0;
  at::Tensor inputs;     ///< Q_A, eigenvectors of A
  at::Tensor gradients;  ///< Q_G, those of G
  at::Tensor curvature;  ///< along each pair of them: s_G·s_Aᵀ, or their second moments
};

/// E[(Q_Gᵀ·∇ℓ·Q_A)²], element by element, over the gradients ∇ℓ = Σ g·aᵀ of single samples, sums
/// over places: the diagonal of the Fisher matrix in these coordinates (George et al. 2018,
/// section 3). Up to `most` samples, spread over all of them.
at::Tensor second_moments(const std::vector<Rows>& uses, const at::Tensor& left,
                          const at::Tensor& right, int64_t most) {
  int64_t samples = 0;
  for (const Rows& use : uses) {
    samples += use.samples;
  }
  const int64_t chosen = std::min(samples, most);
  at::Tensor sum = at::zeros({left.size(1), right.size(1)}, left.options().dtype(at::kDouble));
  for (int64_t i = 0; i < chosen; ++i) {
    int64_t n = samples * i / chosen;
    size_t use = 0;
    for (; n >= uses[use].samples; ++use) {
      n -= uses[use].samples;
    }
    const Rows& rows = uses[use];
    const int64_t places = rows.inputs.size(0) / rows.samples;
    const at::Tensor a = rows.inputs.narrow(0, n * places, places).matmul(right);
    const at::Tensor g = rows.gradients.narrow(0, n * places, places).matmul(left);
    sum.add_(g.t().matmul(a).to(at::kDouble).square());
  }
  // Gradients of a mean are a sample's own over the number of samples.
  const auto all = static_cast<double>(samples);
  return sum.mul(all * all / static_cast<double>(chosen));
}

/// v = (I + F/(λ + δ))⁻¹·u with the Kronecker-factored Fisher matrix F instead of H: for a
/// layer with inputs a (and 1 for its bias) and gradients g of a sample's loss in its outputs,
/// F = A ⊗ G, A = E[Σ a·aᵀ], G = E[mean g·gᵀ], sum and mean over the places of a convolution
/// (Martens and Grosse 2015, section 3; Grosse and Martens 2016, theorem 1). With eigenvectors
/// Q_A, Q_G and values s_A, s_G the inverse is exact: in their coordinates each element is divided
/// by 1 + s_G·s_A/(λ + δ) (George et al. 2018, section 3.1).
///
/// g are the gradients of this loss (the empirical Fisher matrix), those of a mean times
/// the number of rows of the batch. Different layers are taken as independent. Parameters of other
/// layers (normalisations) have v = u. Factors are made once for a system.
class Kfac : public Hypergradient {
 public:
  explicit Kfac(Options options) : options_(options) {}
  explicit Kfac(EkfacOptions options) : options_(options.factors), samples_(options.samples) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    HypergradientSolution solution;
    solution.damping = options_.damping;
    if (system_ != system.id()) {
      build(system);
      system_ = system.id();
    }
    solution.v = copy(u);
    if (!finite_) {
      solution.status = SolveStatus::diverged;
      return solution;
    }
    for (const Block& block : blocks_) {
      apply(block, system.weight() + options_.damping, u, solution.v);
    }
    replace_if_diverged(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override { return {.abilities = {LayerGradients::id}}; }

 private:
  void build(ImplicitSystem& system) {
    auto* layers = bissl::capability<LayerGradients>(system);
    if (layers == nullptr) {
      fail_input("the lower level does not give its layers' gradients, which \"kfac\" needs");
    }
    // A weight that is used several times has the rows of all its uses.
    std::map<size_t, std::vector<LayerGradient>> by_weight;
    finite_ = true;
    for (LayerGradient& layer : layers->layer_gradients()) {
      finite_ = finite_ && all_finite({layer.input, layer.output_gradient});
      by_weight[layer.weight].push_back(std::move(layer));
    }
    if (by_weight.empty()) {
      fail_input(
          "the backbone calls none of the sdk's layers (bissl/layers.h) with its weights, and "
          "\"kfac\" knows no others");
    }
    blocks_.clear();
    if (!finite_) {
      return;
    }
    for (const auto& [weight, uses] : by_weight) {
      const int64_t groups = uses.front().convolution ? uses.front().geometry.groups : 1;
      for (int64_t group = 0; group < groups; ++group) {
        blocks_.push_back(factors(system.parameters()[weight].detach(), uses, group, groups));
      }
    }
  }

  Block factors(const at::Tensor& weight, const std::vector<LayerGradient>& uses, int64_t group,
                int64_t groups) const {
    std::vector<Rows> of_uses;
    TensorList inputs;
    TensorList gradients;
    int64_t samples = 0;
    for (const LayerGradient& use : uses) {
      Rows rows = rows_of(use, weight, group);
      inputs.push_back(rows.inputs);
      gradients.push_back(rows.gradients);
      samples += rows.samples;
      of_uses.push_back(std::move(rows));
    }
    const bool bias = uses.front().bias.has_value();
    const auto all = static_cast<double>(samples);
    const at::Tensor all_gradients = at::cat(gradients);
    const auto [chosen, weight_of_row] = sample_rows(at::cat(inputs), options_.max_rows);
    const auto [some_gradients, weight_of_gradient] = sample_rows(all_gradients, options_.max_rows);
    const EigenDecomposition of_inputs =
        eigen_of_gram(bias ? with_ones(chosen) : chosen, weight_of_row / all);
    const EigenDecomposition of_gradients =
        eigen_of_gram(some_gradients,
                      weight_of_gradient * all * all / static_cast<double>(all_gradients.size(0)));
    const int64_t rows = weight.size(0) / groups;
    Block block{.weight = uses.front().weight,
                .bias = uses.front().bias,
                .first_row = group * rows,
                .rows = rows,
                // What a solve multiplies with has the weights' precision.
                .inputs = of_inputs.vectors.to(weight.options()),
                .gradients = of_gradients.vectors.to(weight.options()),
                .curvature = of_gradients.values.unsqueeze(1).mul(of_inputs.values)};
    if (samples_) {
      for (Rows& use : of_uses) {
        use.inputs = bias ? with_ones(use.inputs) : use.inputs;
      }
      block.curvature = second_moments(of_uses, block.gradients, block.inputs, *samples_);
    }
    return block;
  }

  static at::Tensor with_ones(const at::Tensor& rows) {
    return at::cat({rows, at::ones({rows.size(0), 1}, rows.options())}, 1);
  }

  /// v ← v − Q_G·(S/(1 + S) ∘ (Q_Gᵀ·U·Q_A))·Q_Aᵀ with S = curvature/(λ + δ), which is the inverse
  /// also where the bases lack directions of value 0.
  static void apply(const Block& block, double weight, const TensorList& u, TensorList& v) {
    const auto rows = [&](const at::Tensor& tensor) {
      return tensor.narrow(0, block.first_row, block.rows).flatten(1);
    };
    at::Tensor right = rows(u[block.weight]);
    if (block.bias) {
      const at::Tensor bias = u[*block.bias].narrow(0, block.first_row, block.rows);
      right = at::cat({right, bias.unsqueeze(1)}, 1);
    }
    const at::Tensor& left_basis = block.gradients;
    const at::Tensor& right_basis = block.inputs;
    const at::Tensor curvature = block.curvature.div(weight);
    const at::Tensor share = curvature.div(curvature.add(1)).to(right.options());
    const at::Tensor change = left_basis.matmul(
        left_basis.t().matmul(right).matmul(right_basis).mul(share).matmul(right_basis.t()));
    const int64_t columns = u[block.weight][0].numel();
    at::Tensor changed = v[block.weight].narrow(0, block.first_row, block.rows);
    changed.sub_(change.narrow(1, 0, columns).reshape(changed.sizes()));
    if (block.bias) {
      v[*block.bias].narrow(0, block.first_row, block.rows).sub_(change.select(1, columns));
    }
  }

  Options options_;
  std::optional<int64_t> samples_;  ///< for second moments; none: products of eigenvalues
  uint64_t system_ = 0;             ///< that the blocks belong to
  bool finite_ = true;
  std::vector<Block> blocks_;
};

/// The same with the factors' eigenvalues replaced by the second moments of the gradients along
/// their eigenvectors, which no diagonal in these coordinates is nearer to F with (George et al.
/// 2018, section 3).
class Ekfac : public Kfac {
 public:
  explicit Ekfac(EkfacOptions options) : Kfac(options) {}
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("kfac", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Kfac>(
      {.name = "kfac",
       .summary = "solves (I + F/(λ + δ))·v = u with Kronecker factors of the empirical Fisher "
                  "matrix F instead of H; no products",
       .source = "Martens and Grosse 2015, arXiv 1503.05671, section 3; Grosse and Martens 2016, "
                 "arXiv 1602.01407, theorem 1; George et al. 2018, arXiv 1806.03884, section 3.1"},
      schema());
  registrar.add<Hypergradient, Ekfac>(
      {.name = "ekfac",
       .summary = "`kfac` with eigenvalues corrected to the gradients' second moments along the "
                  "factors' eigenvectors; no products",
       .source = "George et al. 2018, arXiv 1806.03884, section 3"},
      ekfac_schema());
}
