#pragma once

#include "bilevel/hessian.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "bissl/system_abilities.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bissl::host {

class LowerTrajectory;

/// A new number for ImplicitSystem::id().
uint64_t next_system_id();

/// Throws Error(input) where `system` lacks an ability that an approximator needs;
/// `who` is that approximator, for the message.
void require_abilities(const HypergradientNeeds& needs, ImplicitSystem& system,
                       const std::string& who);

/// The mean of the losses of the batches, with gradients as the mode of now says.
at::Tensor mean_loss(Pretext& pretext, Backbone& backbone, const std::vector<Batch>& batches);

/// The lower level of one round: θ_P, φ_P and one pretext batch, or the mean over several, held
/// still while the upper steps run. The gradient's graph is built when it is first asked for and
/// serves all of them.
class PretextProblem : public ImplicitSystem,
                       public SystemPreconditioner,
                       public RecordedSteps,
                       public FreshBatches,
                       public LayerGradients {
 public:
  struct Setting {
    double lambda = 0;
    uint64_t noise_seed = 0;  ///< fixes what is random inside the loss, for all evaluations
    bool recompute_graph =
        false;  ///< build the graph for each product anew: less memory, more time
  };

  /// How θ_P was trained, for approximators that use it.
  struct Training {
    /// Its first parameters are the backbone's; for preconditioner(), which is ones without it.
    Optimizer* optimizer = nullptr;
    /// The steps that led to θ_P. Without it the problem does not have the ability RecordedSteps.
    const LowerTrajectory* trajectory = nullptr;
    /// Batch `index` of the solve under way. Without it the problem does not have the ability
    /// FreshBatches.
    std::function<Batch(int64_t)> fresh{};
  };

  /// The loss is the mean of those of the batches.
  PretextProblem(Backbone& backbone, Pretext& pretext, std::vector<Batch> batches,
                 const Setting& setting, const Training& training);
  PretextProblem(Backbone& backbone, Pretext& pretext, std::vector<Batch> batches,
                 const Setting& setting)
      : PretextProblem(backbone, pretext, std::move(batches), setting, Training()) {}

  TensorList hessian_product(const TensorList& x) override;
  TensorList gradient(const TensorList& shift) override;
  const TensorList& parameters() const override { return parameters_; }
  double weight() const override { return setting_.lambda; }
  const std::vector<std::string>& parameter_names() const override { return names_; }
  uint64_t id() const override { return id_; }

  void* capability(std::string_view id) override;
  TensorList preconditioner() override;
  std::vector<LowerStep> recorded_steps() override;
  ImplicitSystem& fresh_system(int64_t index) override;
  std::vector<LayerGradient> layer_gradients() override;

  /// Products so far, for reports.
  int64_t products() const { return products_; }

  /// Memory of the graph that is kept for products, with the activations that it holds; 0 before
  /// the first product or where none is kept.
  int64_t graph_bytes() const { return graph_bytes_; }

 private:
  at::Tensor loss();
  TensorList loss_gradient();

  Backbone& backbone_;
  Pretext& pretext_;
  std::vector<Batch> batches_;
  Setting setting_;
  uint64_t id_;
  TensorList parameters_;
  std::vector<std::string> names_;
  std::optional<HessianOperator> hessian_;
  TensorList gradient_;  ///< at θ_P, once asked for
  Training training_;
  std::unique_ptr<PretextProblem> fresh_;
  int64_t products_ = 0;
  int64_t graph_bytes_ = 0;
};

}  // namespace bissl::host
