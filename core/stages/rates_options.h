#pragma once

#include "pipeline/pipeline.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

// What a table says under `rates`.

/// `rates = { … }`
struct RatesOptions {
  std::string scaling = "none";
  int64_t scaling_batch = 256;
  double layer_decay = 1;
};

/// `groups = [ { … } ]`
struct GroupOptions {
  std::vector<std::string> match;
  std::optional<double> lr_factor;
  std::optional<double> weight_decay;
  bool frozen = false;
};

/// `weight_decay = { … }`
struct DecayOptions {
  std::string use = "cosine";
  double end_factor = 1;
  double power = 1;
};

/// `momentum = { … }`
struct MomentumOptions {
  std::string use = "cosine";
  double to = 0;
  double power = 1;
};

/// `rates`, for the tables that have an optimizer.
SubtableSpec rates_table();

/// The defaults where `table` has no `rates`.
RatesOptions parse_rates(const Table& table);

/// The groups of a table, each with its place in the file.
std::vector<std::pair<GroupOptions, std::string>> parse_groups(const Table& table);

/// Nothing where weight decay is constant.
std::optional<DecayOptions> parse_decay(const Table& table);

/// Nothing where momentum is constant.
std::optional<MomentumOptions> parse_momentum(const Table& table);

/// The table `rates`; null where there is none.
const Table* rates_of(const Table& table);

}  // namespace bissl::host
