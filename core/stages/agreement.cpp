#include "stages/agreement.h"

#include "bissl/error.h"
#include "distributed/process_group.h"
#include "telemetry/interrupt.h"

#include <ATen/ops/zeros.h>

namespace bissl::host {

bool interrupted_by_any() {
  ProcessGroup* const group = current_group();
  if (group == nullptr) {
    return interrupted();
  }
  at::Tensor votes = at::zeros({1}, at::kDouble);
  *votes.data_ptr<double>() = interrupted() ? 1 : 0;
  group->sum(votes);
  return *votes.data_ptr<double>() > 0;
}

void stop_if_any_interrupted() {
  if (interrupted_by_any()) {
    throw Interrupted();
  }
}

double of_process_0(double own) {
  ProcessGroup* const group = current_group();
  if (group == nullptr) {
    return own;
  }
  at::Tensor number = at::zeros({1}, at::kDouble);
  *number.data_ptr<double>() = own;
  group->broadcast(number);
  return *number.data_ptr<double>();
}

void require_same_step(int64_t first) {
  ProcessGroup* const group = current_group();
  if (group == nullptr) {
    return;
  }
  at::Tensor steps = at::zeros({group->size()}, at::kDouble);
  double* const of_rank = steps.data_ptr<double>();
  of_rank[group->rank()] = static_cast<double>(first);
  group->sum(steps);
  for (int rank = 1; rank < group->size(); ++rank) {
    if (of_rank[rank] != of_rank[0]) {
      fail_run(
          "the processes do not begin with the same step: process 0 with step {:.0f}, process {} "
          "with step {:.0f}. Each continues from process 0's checkpoint, so all must see its run "
          "folder as it is; where a network file system shows it late, the same call may do",
          of_rank[0], rank, of_rank[rank]);
    }
  }
}

}  // namespace bissl::host
