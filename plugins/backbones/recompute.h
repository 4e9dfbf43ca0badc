#pragma once

#include "bissl/plugin.h"
#include "bissl/recomputed.h"

#include <ATen/core/Tensor.h>

#include <memory>

// The option `recompute` of the networks that are made of blocks.

namespace bissl {

template <class Options>
void add_recompute(Schema<Options>& schema, bool Options::*member) {
  schema.add(
      "recompute", member,
      "keep only what enters each block, and compute the rest again in backward passes: less "
      "memory, more time, the same numbers but for rounding");
}

/// block->forward(x), with `recompute` under bissl::recomputed.
template <class Block>
at::Tensor through_block(const std::shared_ptr<Block>& block, const at::Tensor& x, bool recompute) {
  if (!recompute) {
    return block->forward(x);
  }
  return recomputed(block, x,
                    [raw = block.get()](const at::Tensor& in) { return raw->forward(in); });
}

}  // namespace bissl
