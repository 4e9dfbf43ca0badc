#pragma once

#include "bissl/tensor_list.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace torch::nn {
class Module;
}

namespace bissl::host {

// One network trained by the processes of the current group. Every process is given the whole
// batch. The backbone computes on each process the features of a part of it; they are put together,
// so that heads and losses see the whole batch, on each process the same. A gradient that autograd
// finds on one process is then its contribution to W times the gradient of the loss, with W
// processes: their mean is the gradient. The same holds for Hessian products.

/// Whether batches are divided: this process is one of a group, and no Undivided lives.
bool batches_are_divided();

/// While it lives, this process computes on its own, as all others do: without other processes,
/// and with the same results on each.
class Undivided {
 public:
  Undivided();
  ~Undivided();
  Undivided(const Undivided&) = delete;
  Undivided& operator=(const Undivided&) = delete;
};

/// Replaces what autograd has found on each process by the mean over them. Only where the graph was
/// made of divided batches.
void average_over_processes(TensorList& gradients);

/// Samples `first` … `first + count − 1` of a batch.
struct BatchPart {
  int64_t first = 0;
  int64_t count = 0;

  /// Of a tensor with a row for each sample; undefined for an undefined one.
  at::Tensor of(const at::Tensor& rows) const;
};

/// Part `rank` of `size` parts of a batch of `samples`, as even as can be.
BatchPart part_of(int64_t samples, int rank, int size);

/// The rows of all parts of a batch of `samples`, in whose DividedBatch this is called, from those
/// of this process's part, with their derivatives.
at::Tensor rows_of_all(const at::Tensor& rows, const BatchPart& part, int64_t samples);

/// What `forward`, a pass of the module that `backbone` gives, makes of a batch of `samples`, from
/// this process's part and those of the others: tensors with a row for each sample. Where batches
/// are not divided, and for a batch that has fewer samples than there are processes, `forward` is
/// called once with the whole batch. Normalisations take their statistics as batch_statistics()
/// says; the backbone's buffers are the same on all processes either way.
///
/// What a forward pass draws from LibTorch's generator is drawn on each process from a stream of
/// its own; afterwards all generators are in process 0's state.
TensorList in_parts(int64_t samples, const std::function<torch::nn::Module&()>& backbone,
                    const std::function<TensorList(const BatchPart&)>& forward);

}  // namespace bissl::host
