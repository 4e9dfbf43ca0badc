#pragma once

#include "bissl/batch.h"
#include "data/batch_mix.h"
#include "models/task_batch.h"
#include "pipeline/table.h"

#include <cstdint>
#include <optional>

namespace bissl::host {

// The table `mix` of what trains a labelled task on mixed images.

/// `mix`, for the tables that have it.
SubtableSpec mix_table();

/// What mixes the batches of a table; nothing without `mix`. Throws Error(input) for targets that
/// cannot be mixed.
std::optional<BatchMix> make_mix(const Table& table, uint64_t seed, const TargetSpec& targets);

/// The first view of batch number `number` with its targets, mixed if `mix` is there.
TaskBatch task_batch(const Batch& batch, const std::optional<BatchMix>& mix, int64_t number);

}  // namespace bissl::host
