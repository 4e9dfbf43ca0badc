#pragma once

#include "bissl/target_batch.h"
#include "bissl/tensor_list.h"
#include "bissl/views.h"

#include <ATen/core/Tensor.h>

#include <utility>

namespace bissl {

/// A batch of N samples as a network is given it, all on one device. The host makes it. Besides
/// views and indices it contains only what the task requests.
struct Batch {
  Batch() = default;
  /// One with views alone.
  Batch(Views of_samples) : views(std::move(of_samples)) {}

  /// Of the samples: float32, and float64 where an audit evaluates the loss.
  Views views;

  /// Downstream tasks: of the kind that the task takes. Pretext tasks: likewise, for those that
  /// take any (ComponentText::takes); undefined otherwise, and where the data has none.
  TargetBatch targets{};

  /// Where each view lies in its image, for pretext tasks whose reads_geometry() is true; empty
  /// otherwise. geometry[v] is (N, 2, 3), of the views' type: the rows (xx, xy, x0) and
  /// (yx, yy, y0) of each sample's ViewGeometry (bissl/view_geometry.h). For P positions in the
  /// view, x and y of (P),
  ///
  ///     geometry[v].matmul(at::stack({x, y, at::ones_like(x)}))
  ///
  /// are those in the images, (N, 2, P).
  TensorList geometry{};

  /// Which samples they are: (N), int64, the number of each in the data of the stage, from 0 to
  /// PretextContext::samples − 1 (of downstream tasks: to the size of theirs − 1). A sample has the
  /// same number in each epoch, in each round and on each process, so a task can keep something of
  /// each (a label, an embedding) in a buffer with a row per sample. Distinct within a batch unless
  /// it reaches over the end of an epoch.
  at::Tensor indices{};
};

}  // namespace bissl
