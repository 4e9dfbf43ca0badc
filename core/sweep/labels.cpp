#include "sweep/labels.h"

#include "base/spelling.h"
#include "bissl/hash.h"
#include "sweep/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>

namespace bissl::host {
namespace {

/// Six digits where they say it all, otherwise as many as it takes to read the same number back.
std::string real_text(double value) {
  if (value == 0) {
    return "0";  // one zero
  }
  std::string text = fmt::format("{:.6g}", value);
  return std::strtod(text.c_str(), nullptr) == value ? text : fmt::format("{}", value);
}

/// Whether a text could be confused with what is around it in a label, a table or a list.
bool needs_quotes(const std::string& text, bool inside) {
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return text.empty() || text.front() == ' ' || text.back() == ' ' ||
         text.find_first_of("\"|") != std::string::npos || text.find(", ") != std::string::npos ||
         std::any_of(text.begin(), text.end(), is_control) ||
         (inside && text.find_first_of(" =,[]+") != std::string::npos);
}

/// `inside`: as a part of a longer label.
std::string scalar_text(const ConfigNode& node, bool inside) {
  if (const auto* text = std::get_if<std::string>(&node.scalar)) {
    return needs_quotes(*text, inside) ? to_toml(node.scalar) : *text;
  }
  if (const auto* real = std::get_if<double>(&node.scalar)) {
    return real_text(*real);
  }
  return to_toml(node.scalar);
}

std::string full_text(const ConfigNode& node, bool inside) {
  if (node.is_table()) {
    std::vector<std::string> parts;
    for (const ConfigEntry& entry : node.entries) {
      const std::string value = full_text(entry.value, true);
      parts.push_back(entry.key == "use" ? value : spelled_key(entry.key) + "=" + value);
    }
    const std::string text = fmt::format("{}", fmt::join(parts, " "));
    return inside ? "{" + text + "}" : text;
  }
  if (node.type == ConfigNode::Type::array) {
    std::vector<std::string> parts;
    for (const ConfigNode& item : node.items) {
      parts.push_back(full_text(item, true));
    }
    return fmt::format("[{}]", fmt::join(parts, ","));
  }
  return scalar_text(node, inside);
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
      return same != nullptr && same_value(same->value, entry.value);
    });
    if (entry.key != "use" && !shared) {
      label += fmt::format(" {}={}", spelled_key(entry.key), full_text(entry.value, true));
    }
  }
  return label;
}

/// Labels that are equal though their values are not become the exact text.
void tell_apart(std::vector<std::string>& labels,
                const std::function<bool(size_t, size_t)>& is_same,
                const std::function<std::string(size_t)>& exact) {
  std::map<std::string, std::vector<size_t>> sharing;
  for (size_t i = 0; i < labels.size(); ++i) {
    sharing[labels[i]].push_back(i);
  }
  for (const auto& shared : sharing) {
    const std::vector<size_t>& members = shared.second;
    const bool all_same = std::all_of(members.begin(), members.end(), [&](size_t member) {
      return is_same(members.front(), member);
    });
    for (const size_t member : members) {
      labels[member] = all_same ? labels[member] : exact(member);
    }
  }
}

}  // namespace

bool same_value(const ConfigNode& left, const ConfigNode& right) {
  return matches(left, right) && matches(right, left);
}

std::vector<std::string> labels_of(const std::vector<ConfigNode>& values) {
  std::vector<std::string> labels;
  for (const ConfigNode& value : values) {
    const std::string* name = component_name(value);
    if (name == nullptr) {
      labels.push_back(full_text(value, false));
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
  tell_apart(
      labels, [&](size_t i, size_t k) { return same_value(values[i], values[k]); },
      [&](size_t i) { return inline_toml(values[i]); });
  return labels;
}

std::vector<std::string> joint_labels(const std::vector<std::vector<ConfigNode>>& columns) {
  std::vector<std::string> labels(columns.empty() ? 0 : columns.front().size());
  for (const std::vector<ConfigNode>& column : columns) {
    const std::vector<std::string> own = labels_of(column);
    for (size_t i = 0; i < labels.size(); ++i) {
      labels[i] += (&column == &columns.front() ? "" : "+") + own[i];
    }
  }
  const auto is_same = [&](size_t i, size_t k) {
    return std::all_of(columns.begin(), columns.end(), [&](const std::vector<ConfigNode>& column) {
      return same_value(column[i], column[k]);
    });
  };
  tell_apart(labels, is_same, [&](size_t i) {
    std::vector<std::string> parts;
    parts.reserve(columns.size());
    for (const std::vector<ConfigNode>& column : columns) {
      parts.push_back(inline_toml(column[i]));
    }
    return fmt::format("{}", fmt::join(parts, " + "));
  });
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

std::vector<std::string> folder_parts(const std::vector<std::string>& labels) {
  const auto plain = [](const std::string& label) {
    std::string part;
    for (const char c : label) {
      const bool stays = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' ||
                         c == '+' || c == '_' || c == '=';
      part += stays ? c : '_';
    }
    return part;
  };
  std::map<std::string, std::set<std::string>> sharing;  // labels by part, in lower case
  for (const std::string& label : labels) {
    sharing[lower_case(plain(label))].insert(label);
  }
  std::vector<std::string> parts;
  for (const std::string& label : labels) {
    const std::string part = plain(label);
    parts.push_back(sharing.at(lower_case(part)).size() == 1
                        ? part
                        : part + "-" + hash_hex(label).substr(0, 8));
  }
  return parts;
}

std::string inline_toml(const ConfigNode& node) {
  std::vector<std::string> parts;
  if (node.is_table()) {
    for (const ConfigEntry& entry : node.entries) {
      parts.push_back(fmt::format("{} = {}", spelled_key(entry.key), inline_toml(entry.value)));
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

}  // namespace bissl::host
