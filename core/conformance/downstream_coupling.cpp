// Whether a loss couples the samples of a batch, as it says.

#include "bissl/downstream_abilities.h"
#include "conformance/downstream_trial.h"

#include <ATen/ops/cat.h>

#include <cmath>

namespace bissl::host {

/// Both halves have the same targets, so that as much counts in each and classes have the same
/// shares. A sum over the samples is as good as a mean.
void check_coupling_of_samples(const HeadTrial& trial) {
  const auto* declared = capability<LossCoupling>(*trial.task);
  if (declared != nullptr && declared->coupling() != BatchCoupling::separable) {
    throw NotApplicable("it says by LossCoupling that its loss couples samples");
  }
  constexpr int64_t half = HeadTrial::samples / 2;
  const TargetBatch targets = part_of(trial.targets, 0, half);
  const TargetBatch twice{at::cat({targets.dense, targets.dense})};
  const double whole = loss_of(*trial.task, trial.outputs, twice);
  const double sum = loss_of(*trial.task, trial.outputs.narrow(0, 0, half), targets) +
                     loss_of(*trial.task, trial.outputs.narrow(0, half, half), targets);
  const double tolerance = 1e-6 * (1 + std::abs(whole));
  require(std::abs(whole - sum / 2) <= tolerance || std::abs(whole - sum) <= tolerance,
          "a batch has the loss {}, and its halves, which have the same targets, {} in the mean: "
          "the loss couples samples. Say so by the ability {} (bissl/downstream_abilities.h), or "
          "the program accumulates gradients that are not those of the batch",
          whole, sum / 2, LossCoupling::id);
}

}  // namespace bissl::host
