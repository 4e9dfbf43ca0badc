#pragma once

#include "bilevel/hessian.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace bissl {

/// The lower level of one round: θ_P, φ_P and one pretext batch, or the mean over several, held
/// still while the upper steps run. The gradient's graph is built when it is first asked for and
/// serves all of them.
class PretextProblem : public LowerProblem {
 public:
  struct Setting {
    double lambda = 0;
    uint64_t noise_seed = 0;  ///< fixes what is random inside the loss, for all evaluations
    bool recompute_graph =
        false;  ///< build the graph for each product anew: less memory, more time
  };

  /// `batches` are (V, N, C, H, W) each; the loss is the mean of theirs.
  PretextProblem(Backbone& backbone, Pretext& pretext, TensorList batches, const Setting& setting);

  TensorList hessian_product(const TensorList& x) override;
  TensorList gradient(const TensorList& shift) override;
  const TensorList& parameters() const override { return parameters_; }
  double lambda() const override { return setting_.lambda; }
  const std::vector<std::string>& parameter_names() const override { return names_; }
  uint64_t id() const override { return id_; }

  TensorList preconditioner() override;

  /// The lower level's optimizer, whose first parameters are the backbone's; for preconditioner().
  void use_optimizer(const Optimizer& optimizer) { optimizer_ = &optimizer; }

  /// ∇_θ and products are counted for the reports.
  int64_t products() const { return products_; }

 private:
  at::Tensor loss();

  Backbone& backbone_;
  Pretext& pretext_;
  TensorList batches_;
  Setting setting_;
  uint64_t id_;
  TensorList parameters_;
  std::vector<std::string> names_;
  std::optional<HessianOperator> hessian_;
  TensorList gradient_;  ///< at θ_P, once asked for
  const Optimizer* optimizer_ = nullptr;
  int64_t products_ = 0;
};

}  // namespace bissl
