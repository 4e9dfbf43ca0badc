#pragma once

#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace bissl::host {

/// Parameters that an optimizer of their own moves, at their own share of the learning rate.
struct OptimizerGroup {
  std::shared_ptr<Optimizer> optimizer;
  std::vector<size_t> members;  ///< their places among all parameters
  double lr_factor = 1;         ///< on the learning rate of a step
};

/// Several instances of one optimizer as one optimizer over all their parameters. Preconditioners
/// have the groups' factors in them, so that what goes back through steps sees the steps that were
/// made. Weight decay is the largest of the groups'; set_weight_decay changes that of each by the
/// same factor. Momentum is that of all groups.
class OptimizerGroups final : public Optimizer,
                              private OptimizerMomentum,
                              private OptimizerMomentumSetting,
                              private OptimizerPreconditioner,
                              private OptimizerWeightDecay {
 public:
  /// `groups`, at least one, hold `parameters` parameters in all. `rate` is a factor on the
  /// learning rate of all of them.
  OptimizerGroups(std::vector<OptimizerGroup> groups, size_t parameters, double rate);

  void step(double lr_scale) override;
  double learning_rate() const override;
  NamedTensors state() const override;
  void load_state(const NamedTensors& state) override;
  void* capability(std::string_view id) override;

 private:
  double momentum() const override;
  void set_momentum(double value) override;
  TensorList preconditioner(const TensorList& gradients) const override;
  double weight_decay() const override { return weight_decay_; }
  void set_weight_decay(double value) override;

  std::vector<OptimizerGroup> groups_;
  size_t parameters_;
  double rate_;
  std::vector<double> decays_;  ///< of each group at the start; empty without the ability
  double largest_decay_ = 0;    ///< of these
  double weight_decay_ = 0;     ///< what that is now
};

}  // namespace bissl::host
