#include "weights/key_rules.h"

#include "bissl/error.h"
#include "store/safetensors_header.h"
#include "weights/head_names.h"
#include "weights/name_pattern.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

namespace bissl::host {
namespace {

std::string place_text(const std::string& path) {
  return path.empty() ? "its top" : shown_name(path);
}

std::string places_text(const WeightsFile& file) {
  std::vector<std::string> places;
  for (const StateDict& dict : file.dicts()) {
    if (places.size() == 8) {
      places.emplace_back("…");
      break;
    }
    places.push_back(fmt::format("{} ({} tensors, such as {})", place_text(dict.path),
                                 dict.tensors.size(), shown_name(dict.tensors.front().name)));
  }
  return fmt::format("{}", fmt::join(places, "; "));
}

const StateDict* container_of(const KeyRule& rule, const WeightsFile& file) {
  for (const std::string& path : rule.containers) {
    if (const StateDict* dict = file.dict(path)) {
      return dict;
    }
  }
  return nullptr;
}

/// The first prefix that any name of the dictionary has.
const std::string* prefix_of(const KeyRule& rule, const StateDict& dict) {
  for (const std::string& prefix : rule.prefixes) {
    if (std::any_of(dict.tensors.begin(), dict.tensors.end(),
                    [&](const StoredTensor& tensor) { return tensor.name.starts_with(prefix); })) {
      return &prefix;
    }
  }
  return nullptr;
}

std::vector<std::string> quoted(const std::vector<std::string>& texts) {
  std::vector<std::string> result;
  for (const std::string& text : texts) {
    result.push_back(text.empty() ? "the file's top" : shown_name(text));
  }
  return result;
}

/// Sorts the tensors of a dictionary by what the rule says of their names.
MappedWeights map_names(const KeyRule& rule, const StateDict& dict, const std::string& prefix) {
  MappedWeights mapped{.rule = rule.name, .container = dict.path, .prefix = prefix};
  std::map<std::string, std::string> origins;
  for (const StoredTensor& tensor : dict.tensors) {
    if (!tensor.name.starts_with(prefix)) {
      mapped.outside.push_back({tensor.name, &tensor});
      continue;
    }
    std::string name = tensor.name.substr(prefix.size());
    if (fits_any(rule.drop, name)) {
      mapped.dropped.push_back({name, &tensor});
      continue;
    }
    for (const auto& [from, to] : rule.rename) {
      name = with_parts_replaced(name, from, to);
    }
    const auto [other, is_new] = origins.emplace(name, tensor.name);
    if (!is_new) {
      fail_input("rule {}: the names {} and {} of the file both become {}", rule.name,
                 shown_name(other->second), shown_name(tensor.name), shown_name(name));
    }
    mapped.tensors.push_back({std::move(name), &tensor});
  }
  return mapped;
}

/// Whether the file looks as the rule's program writes it.
bool has_marks(const KeyRule& rule, const WeightsFile& file, const StateDict& dict) {
  const bool marked = rule.marks.empty() || std::any_of(dict.tensors.begin(), dict.tensors.end(),
                                                        [&](const StoredTensor& t) {
                                                          return fits_any(rule.marks, t.name);
                                                        });
  const bool keyed = rule.keys.empty() ||
                     std::any_of(rule.keys.begin(), rule.keys.end(), [&](const std::string& key) {
                       return file.keys().count(key) != 0;
                     });
  return marked && keyed;
}

/// How many of the wanted names the rule finds.
size_t names_found(const MappedWeights& mapped, const NamedShapes& wanted) {
  std::set<std::string_view> names;
  for (const MappedTensor& tensor : mapped.tensors) {
    names.insert(tensor.name);
  }
  return static_cast<size_t>(std::count_if(wanted.begin(), wanted.end(), [&](const auto& entry) {
    return names.count(entry.first) != 0;
  }));
}

struct Candidate {
  MappedWeights mapped;
  size_t found = 0;

  /// Tensors that the rule takes and the network does not have.
  size_t left() const { return mapped.tensors.size() - found; }
};

/// Rules that find as much differ in the heads that they know.
bool is_better(const Candidate& one, const Candidate& other) {
  return one.found != other.found ? one.found > other.found : one.left() < other.left();
}

/// What is before the first of the wanted names, wherever the file has it: each is the prefix
/// of a network that may be meant.
std::vector<Candidate> prefix_candidates(const WeightsFile& file, const NamedShapes& wanted) {
  constexpr size_t most_candidates = 64;
  std::vector<Candidate> candidates;
  for (const StateDict& dict : file.dicts()) {
    for (const StoredTensor& tensor : dict.tensors) {
      const std::string& first = wanted.front().first;
      if (!tensor.name.ends_with(first) || candidates.size() == most_candidates) {
        continue;
      }
      const std::string prefix = tensor.name.substr(0, tensor.name.size() - first.size());
      if (!prefix.empty() && prefix.back() != '.') {
        continue;
      }
      Candidate candidate;
      candidate.mapped =
          map_names({.name = "prefix", .summary = "", .drop = head_names()}, dict, prefix);
      candidate.found = names_found(candidate.mapped, wanted);
      candidates.push_back(std::move(candidate));
    }
  }
  return candidates;
}

}  // namespace

MappedWeights apply_rule(const KeyRule& rule, const WeightsFile& file) {
  const StateDict* dict = container_of(rule, file);
  if (dict == nullptr) {
    fail_input("rule {} looks for the weights at {}; the file has tensors at {}", rule.name,
               fmt::join(quoted(rule.containers), " or "), places_text(file));
  }
  const std::string* prefix = prefix_of(rule, *dict);
  if (prefix == nullptr) {
    fail_input("rule {} looks for names that begin with {}; at {} the names are {}, …", rule.name,
               fmt::join(quoted(rule.prefixes), " or "), place_text(dict->path),
               shown_name(dict->tensors.front().name));
  }
  return map_names(rule, *dict, *prefix);
}

MappedWeights detect_rule(const WeightsFile& file, const NamedShapes& wanted) {
  if (wanted.empty()) {
    fail_input("the backbone has no weights to import");
  }
  std::optional<Candidate> best;
  for (const KeyRule& rule : key_rules()) {
    const StateDict* dict = container_of(rule, file);
    const std::string* prefix = dict == nullptr ? nullptr : prefix_of(rule, *dict);
    if (prefix == nullptr || !has_marks(rule, file, *dict)) {
      continue;
    }
    Candidate candidate{map_names(rule, *dict, *prefix), 0};
    candidate.found = names_found(candidate.mapped, wanted);
    if (candidate.found > 0 && (!best || is_better(candidate, *best))) {
      best = std::move(candidate);
    }
  }
  std::vector<Candidate> others = prefix_candidates(file, wanted);
  std::stable_sort(others.begin(), others.end(), [](const Candidate& left, const Candidate& right) {
    return left.found > right.found;
  });
  if (others.empty() || (best && best->found >= others.front().found)) {
    if (!best) {
      fail_input(
          "no name of the backbone, such as {}, is in the file, whose tensors are at {}. If they "
          "are of this network under other names, say so by `rule`",
          shown_name(wanted.front().first), places_text(file));
    }
    return std::move(best->mapped);
  }
  if (others.size() > 1 && others[1].found == others.front().found) {
    fail_input(
        "several networks in the file fit the backbone alike: at {} below {}, and at {} below {}. "
        "Say which is meant by rule = {{ container = …, prefix = … }}",
        place_text(others[0].mapped.container), shown_name(others[0].mapped.prefix),
        place_text(others[1].mapped.container), shown_name(others[1].mapped.prefix));
  }
  return std::move(others.front().mapped);
}

}  // namespace bissl::host
