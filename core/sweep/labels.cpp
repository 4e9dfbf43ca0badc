#include "sweep/labels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace bissl {
namespace {

std::string scalar_text(const ConfigNode& node) {
  if (const auto* text = std::get_if<std::string>(&node.scalar)) {
    return *text;
  }
  if (const auto* real = std::get_if<double>(&node.scalar)) {
    return fmt::format("{:.6g}", *real);
  }
  return to_toml(node.scalar);
}

std::string full_text(const ConfigNode& node) {
  if (node.is_table()) {
    std::vector<std::string> parts;
    for (const ConfigEntry& entry : node.entries) {
      parts.push_back(entry.key == "use" ? full_text(entry.value)
                                         : entry.key + "=" + full_text(entry.value));
    }
    return fmt::format("{}", fmt::join(parts, " "));
  }
  if (node.type == ConfigNode::Type::array) {
    std::vector<std::string> parts;
    for (const ConfigNode& item : node.items) {
      parts.push_back(full_text(item));
    }
    return fmt::format("[{}]", fmt::join(parts, ","));
  }
  return scalar_text(node);
}

/// The component's name, if the value is a table with one.
const std::string* component_name(const ConfigNode& node) {
  return node.is_table() ? node.text("use") : nullptr;
}

/// The name of a component and those of its entries in which its namesakes differ.
std::string component_label(const ConfigNode& node, const std::vector<const ConfigNode*>& others) {
  std::string label = *component_name(node);
  for (const ConfigEntry& entry : node.entries) {
    const bool shared = std::all_of(others.begin(), others.end(), [&](const ConfigNode* other) {
      const ConfigEntry* same = other->find(entry.key);
      return same != nullptr && full_text(same->value) == full_text(entry.value);
    });
    if (entry.key != "use" && !shared) {
      label += fmt::format(" {}={}", entry.key, full_text(entry.value));
    }
  }
  return label;
}

}  // namespace

std::vector<std::string> labels_of(const std::vector<ConfigNode>& values) {
  std::vector<std::string> labels;
  for (const ConfigNode& value : values) {
    const std::string* name = component_name(value);
    if (name == nullptr) {
      labels.push_back(full_text(value));
      continue;
    }
    std::vector<const ConfigNode*> namesakes;
    for (const ConfigNode& other : values) {
      const std::string* others_name = component_name(other);
      if (&other != &value && others_name != nullptr && *others_name == *name) {
        namesakes.push_back(&other);
      }
    }
    labels.push_back(component_label(value, namesakes));
  }
  return labels;
}

std::vector<std::string> short_names(const std::vector<std::vector<std::string>>& keys) {
  size_t longest = 1;
  for (const auto& parts : keys) {
    longest = std::max(longest, parts.size());
  }
  std::vector<std::string> names;
  for (size_t count = 1; count <= longest; ++count) {
    names.clear();
    for (const auto& parts : keys) {
      const size_t first = parts.size() > count ? parts.size() - count : 0;
      std::string name;
      for (size_t i = first; i < parts.size(); ++i) {
        name += (name.empty() ? "" : ".") + spelled_key(parts[i]);
      }
      names.push_back(std::move(name));
    }
    if (std::set<std::string>(names.begin(), names.end()).size() == names.size()) {
      break;
    }
  }
  return names;
}

std::string inline_toml(const ConfigNode& node) {
  std::vector<std::string> parts;
  if (node.is_table()) {
    for (const ConfigEntry& entry : node.entries) {
      parts.push_back(fmt::format("{} = {}", entry.key, inline_toml(entry.value)));
    }
    return fmt::format("{{ {} }}", fmt::join(parts, ", "));
  }
  if (node.type == ConfigNode::Type::array) {
    for (const ConfigNode& item : node.items) {
      parts.push_back(inline_toml(item));
    }
    return fmt::format("[{}]", fmt::join(parts, ", "));
  }
  return to_toml(node.scalar);
}

}  // namespace bissl
