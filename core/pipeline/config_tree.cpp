#include "pipeline/config_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace bissl {
namespace {

template <class T>
std::optional<Value> list_of(const std::vector<ConfigNode>& items) {
  std::vector<T> values;
  values.reserve(items.size());
  for (const ConfigNode& item : items) {
    values.push_back(std::get<T>(item.scalar));
  }
  return Value(std::move(values));
}

std::optional<Value> list_of_reals(const std::vector<ConfigNode>& items) {
  std::vector<double> values;
  values.reserve(items.size());
  for (const ConfigNode& item : items) {
    Value value = item.scalar;
    convert(value, ValueType::real);
    values.push_back(std::get<double>(value));
  }
  return Value(std::move(values));
}

std::optional<Value> list_value(const std::vector<ConfigNode>& items) {
  const auto all = [&](auto... types) {
    return std::all_of(items.begin(), items.end(),
                       [=](const ConfigNode& item) { return ((item.type == types) || ...); });
  };
  using Type = ConfigNode::Type;
  if (all(Type::integer)) {
    return list_of<int64_t>(items);
  }
  if (all(Type::integer, Type::real)) {
    return list_of_reals(items);
  }
  if (all(Type::text)) {
    return list_of<std::string>(items);
  }
  return std::nullopt;
}

bool same_component(const std::string& left, const std::string& right) {
  const auto names = [](const std::string& plain, const std::string& qualified) {
    return qualified.size() > plain.size() && plain.find('/') == std::string::npos &&
           qualified.compare(qualified.size() - plain.size() - 1, std::string::npos, "/" + plain) ==
               0;
  };
  return left == right || names(left, right) || names(right, left);
}

bool component_changes(const ConfigNode& base, const ConfigNode& over) {
  const std::string* before = base.text("use");
  const std::string* after = over.text("use");
  return before != nullptr && after != nullptr && !same_component(*before, *after);
}

void drop_entries_except(ConfigNode& table, const std::vector<std::string>& kept) {
  const auto dropped = [&](const ConfigEntry& entry) {
    return std::find(kept.begin(), kept.end(), entry.key) == kept.end();
  };
  table.entries.erase(std::remove_if(table.entries.begin(), table.entries.end(), dropped),
                      table.entries.end());
}

bool is_override(const Location& at) { return at.line == 0; }

/// Which tables keep host keys when their `use` changes depends on where they stand.
enum class Place { root, data, data_source, elsewhere };

Place place_below(Place place, const std::string& key) {
  if (place == Place::root && key == "data") {
    return Place::data;
  }
  return place == Place::data ? Place::data_source : Place::elsewhere;
}

void merge_tables(ConfigNode& base, ConfigNode over, const MergeRules& rules, Place place) {
  if (component_changes(base, over)) {
    drop_entries_except(base,
                        place == Place::data_source ? rules.data_keys : std::vector<std::string>{});
  }
  // An override names a table on its way to a key; the table still stands where it stood.
  if (!is_override(over.at)) {
    base.at = over.at;
  }
  if (base.entries.empty()) {
    base.entries = std::move(over.entries);
    return;
  }
  // Found by an index: looking through absurdly large tables entry by entry would take minutes.
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < base.entries.size(); ++i) {
    index.emplace(base.entries[i].key, i);
  }
  for (ConfigEntry& entry : over.entries) {
    const auto found = index.find(entry.key);
    ConfigEntry* present = found == index.end() ? nullptr : &base.entries[found->second];
    if (present == nullptr) {
      base.entries.push_back(std::move(entry));
    } else if (present->value.is_table() && entry.value.is_table()) {
      if (!is_override(entry.key_at)) {
        present->key_at = entry.key_at;
      }
      merge_tables(present->value, std::move(entry.value), rules, place_below(place, entry.key));
    } else {
      *present = std::move(entry);
    }
  }
}

}  // namespace

const ConfigEntry* ConfigNode::find(const std::string& key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const ConfigEntry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

ConfigEntry* ConfigNode::find(const std::string& key) {
  return const_cast<ConfigEntry*>(std::as_const(*this).find(key));
}

const ConfigEntry* ConfigNode::find_path(const std::string& dotted) const {
  const size_t dot = dotted.find('.');
  const ConfigEntry* entry = find(dotted.substr(0, dot));
  if (entry == nullptr || dot == std::string::npos) {
    return entry;
  }
  return entry->value.find_path(dotted.substr(dot + 1));
}

const std::string* ConfigNode::text(const std::string& key) const {
  const ConfigEntry* entry = find(key);
  return entry == nullptr ? nullptr : std::get_if<std::string>(&entry->value.scalar);
}

ConfigEntry& ConfigNode::set(ConfigEntry entry) {
  if (ConfigEntry* present = find(entry.key)) {
    *present = std::move(entry);
    return *present;
  }
  entries.push_back(std::move(entry));
  return entries.back();
}

void ConfigNode::erase(const std::string& key) {
  const auto same = [&](const ConfigEntry& entry) { return entry.key == key; };
  entries.erase(std::remove_if(entries.begin(), entries.end(), same), entries.end());
}

size_t node_count(const ConfigNode& node) {
  size_t count = 1;
  for (const ConfigNode& item : node.items) {
    count += node_count(item);
  }
  for (const ConfigEntry& entry : node.entries) {
    count += node_count(entry.value);
  }
  return count;
}

std::optional<Value> to_value(const ConfigNode& node) {
  switch (node.type) {
    case ConfigNode::Type::boolean:
    case ConfigNode::Type::integer:
    case ConfigNode::Type::real:
    case ConfigNode::Type::text:
      return node.scalar;
    case ConfigNode::Type::array:
      return list_value(node.items);
    case ConfigNode::Type::table:
    case ConfigNode::Type::date:
      break;
  }
  return std::nullopt;
}

std::string describe_given(const ConfigNode& node) {
  if (node.type == ConfigNode::Type::table) {
    return "a table was given";
  }
  if (node.type == ConfigNode::Type::date) {
    return "a date or time was given";
  }
  const std::optional<Value> value = to_value(node);
  if (!value) {
    return "a list of mixed or unsuitable types was given";
  }
  const std::string type = node.type == ConfigNode::Type::boolean ? "a truth value"
                           : node.items.empty() && node.type == ConfigNode::Type::array
                               ? "an empty list"
                               : describe(type_of(*value));
  return fmt::format("{} is {}", shortened(to_toml(*value)), type);
}

void merge(ConfigNode& base, ConfigNode over) {
  merge_tables(base, std::move(over), {}, Place::elsewhere);
}

void merge_pipeline(ConfigNode& base, ConfigNode over, const MergeRules& rules) {
  merge_tables(base, std::move(over), rules, Place::root);
}

}  // namespace bissl
