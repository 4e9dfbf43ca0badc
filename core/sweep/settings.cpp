#include "sweep/settings.h"

#include "pipeline/toml_parser.h"

#include <algorithm>

namespace bissl::host {
namespace {

bool same_scalar(const Value& left, const Value& right) {
  // As real numbers, large integers that differ would be equal.
  if (std::holds_alternative<int64_t>(left) && std::holds_alternative<int64_t>(right)) {
    return left == right;
  }
  const auto number = [](const Value& value) -> std::optional<double> {
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      return static_cast<double>(*integer);
    }
    const auto* real = std::get_if<double>(&value);
    return real == nullptr ? std::nullopt : std::optional(*real);
  };
  const std::optional<double> a = number(left);
  const std::optional<double> b = number(right);
  return a && b ? *a == *b : left == right;
}

}  // namespace

bool matches(const ConfigNode& value, const ConfigNode& pattern) {
  if (pattern.is_table()) {
    return value.is_table() &&
           std::all_of(pattern.entries.begin(), pattern.entries.end(), [&](const auto& entry) {
             const ConfigEntry* found = value.find(entry.key);
             return found != nullptr && matches(found->value, entry.value);
           });
  }
  if (value.is_table()) {
    // A component is also meant by its name alone.
    const ConfigEntry* use = value.find("use");
    return use != nullptr && matches(use->value, pattern);
  }
  if (pattern.type == ConfigNode::Type::array || value.type == ConfigNode::Type::array) {
    return pattern.type == value.type && pattern.items.size() == value.items.size() &&
           std::equal(value.items.begin(), value.items.end(), pattern.items.begin(), matches);
  }
  return same_scalar(value.scalar, pattern.scalar);
}

ConfigNode tree_of(const KeyValue& setting) {
  const std::vector<std::string> keys = parse_toml_key(setting.key);
  ConfigNode node = setting.value;
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    ConfigNode parent;
    parent.at = setting.at;
    parent.set({*key, setting.at, std::move(node)});
    node = std::move(parent);
  }
  return node;
}

const ConfigNode* value_at(const ConfigNode& root, const std::string& dotted) {
  const ConfigNode* node = &root;
  for (const std::string& key : parse_toml_key(dotted)) {
    const ConfigEntry* entry = node->find(key);
    node = entry != nullptr ? &entry->value : node->item(key);
    if (node == nullptr) {
      return nullptr;
    }
  }
  return node;
}

}  // namespace bissl::host
