#pragma once

#include "bissl/parameters.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>

namespace torch::nn {
class Module;
}

namespace bissl {

struct PretextContext;

/// Throws Error(ErrorKind::input), which names both sizes, where the queue of `task` is longer than
/// the data, or shorter than a batch of training or of Hessian products.
void require_queue_fits(const char* task, int64_t length, const PretextContext& context);

/// The same for a batch that the loss is given.
void require_queue_holds(const char* task, int64_t length, int64_t batch);

/// The newest vectors of earlier batches, in buffers of a task: `queue`, (length, width), and
/// `queue_next`, the row that is written next. It begins with random rows of length 1, from
/// LibTorch's generator, as MoCo's published code does.
class VectorQueue {
 public:
  VectorQueue() = default;
  VectorQueue(torch::nn::Module& task, int64_t length, int64_t width);

  /// As it is now: a copy, which a graph may hold while the queue moves on.
  at::Tensor rows() const { return rows_.clone(); }

  /// Writes these rows over the oldest, without gradients.
  void push(const at::Tensor& rows);

  /// require_queue_holds for this one.
  void require_room(const char* task, int64_t samples) const;

 private:
  at::Tensor rows_;
  at::Tensor next_;
};

/// Declares the length of a queue, the parameter `queue`.
template <class Options>
void add_queue(Schema<Options>& schema, int64_t Options::*member, std::string doc) {
  schema.add("queue", member, std::move(doc)).at_least(2).unit("samples");
}

}  // namespace bissl
