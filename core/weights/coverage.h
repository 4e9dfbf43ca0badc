#pragma once

#include "weights/key_rules.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host {

/// A tensor whose shape is not that of the network.
struct WrongShape {
  std::string name;
  std::vector<int64_t> found;
  std::vector<int64_t> wanted;
};

/// How far the weights of a file are those of a network.
struct Coverage {
  std::string format = {};  ///< WeightsFile::format
  std::string rule = {};
  std::string container = {};
  std::string prefix = {};
  std::string types = {};  ///< types_text of what matched
  std::vector<std::string> matched = {};
  std::vector<std::string> missing = {};     ///< names of the network that the file lacks
  std::vector<std::string> unexpected = {};  ///< names in the file that the network lacks
  std::vector<WrongShape> wrong_shape = {};
  /// Those of `matched` that differ in dimensions of 1 alone: a 1×1 convolution for a linear layer,
  /// a scale that is kept as [C, 1, 1].
  std::vector<WrongShape> reshaped = {};
  /// Position embeddings of another grid, which are interpolated, or with a place for the class
  /// token that the network lacks (position_grids).
  std::vector<WrongShape> interpolated = {};
  /// Counters of batch normalisation that the file lacks, as PyTorch before 0.4.1 had none: they
  /// stay 0, and nothing depends on them where the momentum is a number.
  std::vector<std::string> counters = {};
  std::vector<std::string> dropped = {};  ///< left out by the rule, by their names in the file
  std::vector<std::string> outside = {};  ///< without the rule's prefix: other networks, queues
  std::vector<std::string> opaque = {};   ///< classes whose objects are not read
  /// Names among missing, unexpected and wrong_shape that are asked for by `allow`.
  std::vector<std::string> allowed = {};

  /// Whether nothing is missing, unexpected or of a wrong shape but for what is allowed.
  bool complete() const;
};

/// Compares names and shapes. `allow`: patterns (fits_pattern) of names that may be missing,
/// unexpected or of a wrong shape; position embeddings that one fits are not interpolated. Throws
/// Error(input) for a pattern that fits nothing of these.
Coverage cover(const WeightsFile& file, const MappedWeights& mapped, const NamedShapes& wanted,
               const std::vector<std::string>& allow);

/// Throws Error(input) that lists the gaps and says how to allow them, unless the coverage is
/// complete.
void require_complete(const Coverage& coverage);

/// Each that is interpolated, in words: "pos_embed" from a grid of 14x14 places to 6x6.
std::vector<std::string> grid_texts(const Coverage& coverage);

/// A few lines for people.
std::string coverage_text(const Coverage& coverage);
nlohmann::json coverage_json(const Coverage& coverage);

/// The numbers of all that matched or is interpolated, by the network's names.
NamedTensors read_matched(const WeightsFile& file, const MappedWeights& mapped,
                          const Coverage& coverage);

}  // namespace bissl::host
