#pragma once

#include "weights/weights_file.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// How the names in a file become those of a backbone.
struct KeyRule {
  std::string name;
  std::string summary;  ///< whose files these are
  /// Where in the file the names may be (StateDict::path); the first one that exists is taken.
  std::vector<std::string> containers = {""};
  /// Prefixes of the backbone's names; the first one that any name has is taken and removed.
  std::vector<std::string> prefixes = {""};
  /// Patterns (fits_pattern) of names behind the prefix that are not the backbone's: heads.
  std::vector<std::string> drop = {};
  /// Parts of the remaining names, and what they become, one after the other (with_parts_replaced).
  std::vector<std::pair<std::string, std::string>> rename = {};
  /// For detection: names in the container of which one at least must be there, and keys at the
  /// file's top likewise. Empty: none is asked for.
  std::vector<std::string> marks = {};
  std::vector<std::string> keys = {};
};

/// The rules that ship, special ones before general ones.
const std::vector<KeyRule>& key_rules();
/// Null if none has that name.
const KeyRule* find_key_rule(const std::string& name);

/// A tensor of a file under the name that a rule gives it.
struct MappedTensor {
  std::string name;
  const StoredTensor* tensor = nullptr;  ///< in the WeightsFile
};

/// What a rule makes of a file.
struct MappedWeights {
  std::string rule;
  std::string container;
  std::string prefix;
  std::vector<MappedTensor> tensors = {};  ///< each name once
  std::vector<MappedTensor> dropped = {};  ///< by the rule's `drop`; names without the prefix
  std::vector<MappedTensor> outside = {};  ///< names that lack the prefix, as they are
};

/// Names with shapes, in the order of the network.
using NamedShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

/// Applies a rule. Throws Error(input), which says what the file has instead, if it has no such
/// container or prefix, or if two names become one. The file must outlive the result.
MappedWeights apply_rule(const KeyRule& rule, const WeightsFile& file);

/// The rule by which most names of `wanted` are found, of several the one that leaves fewest
/// tensors over: of those that ship, or a prefix that the file itself suggests, called "prefix".
/// Throws Error(input) if there is none, or if several networks in the file fit alike and no rule
/// says which is meant.
MappedWeights detect_rule(const WeightsFile& file, const NamedShapes& wanted);

}  // namespace bissl::host
