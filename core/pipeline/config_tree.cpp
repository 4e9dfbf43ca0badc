#include "pipeline/config_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <unordered_map>
#include <utility>

namespace bissl::host {
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
    convert(value, ValueType::floating);
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

int highest_layer(const ConfigNode& table) {
  int highest = 0;
  for (const ConfigEntry& entry : table.entries) {
    highest = std::max({highest, entry.layer, highest_layer(entry.value)});
  }
  return highest;
}

template <class Change>
void change_layers(ConfigNode& table, const Change& change) {
  for (ConfigEntry& entry : table.entries) {
    entry.layer = change(entry.layer);
    change_layers(entry.value, change);
  }
}

void raise_above(const ConfigNode& base, ConfigNode& over) {
  change_layers(over, [by = highest_layer(base) + 1](int layer) { return layer + by; });
}

/// The number of an item that a key means; none for other keys.
std::optional<size_t> item_number(const std::string& key) {
  size_t number = 0;
  const char* end = key.data() + key.size();
  const auto [rest, error] = std::from_chars(key.data(), end, number);
  return error == std::errc() && rest == end ? std::optional(number) : std::nullopt;
}

/// Whether `left` is to be erased before `right`: what lies deeper or has a higher number, so that
/// the numbers of what is still to be erased stay right.
bool erased_before(const UnsetKey& left, const UnsetKey& right) {
  for (size_t i = 0; i < std::min(left.keys.size(), right.keys.size()); ++i) {
    const std::optional<size_t> a = item_number(left.keys[i]);
    const std::optional<size_t> b = item_number(right.keys[i]);
    if (a.has_value() != b.has_value()) {
      return b.has_value();
    }
    if (a && *a != *b) {
      return *a > *b;
    }
    if (left.keys[i] != right.keys[i]) {
      return left.keys[i] > right.keys[i];
    }
  }
  return left.keys.size() > right.keys.size();
}

/// Erases from `base` what `over` takes away. Both keep a note of it: a stage may still get the
/// key from another stage.
void take_away_by(ConfigNode& base, ConfigNode& over) {
  take_away(base, over.unset);
  base.unset.insert(base.unset.end(), std::make_move_iterator(over.unset.begin()),
                    std::make_move_iterator(over.unset.end()));
  over.unset.clear();
}

/// Hands what the root takes away from a stage to that stage.
void distribute_unset(ConfigNode& base, ConfigNode& over) {
  const auto stage_of = [](ConfigNode& root, const UnsetKey& key) -> ConfigNode* {
    if (key.keys.size() < 3 || key.keys.front() != "stage") {
      return nullptr;
    }
    ConfigEntry* stages = root.find("stage");
    ConfigEntry* stage = stages == nullptr ? nullptr : stages->value.find(key.keys[1]);
    return stage != nullptr && stage->value.is_table() ? &stage->value : nullptr;
  };
  std::erase_if(base.unset, [&](const UnsetKey& key) {
    ConfigNode* stage = stage_of(base, key);
    stage = stage == nullptr ? stage_of(over, key) : stage;
    if (stage != nullptr) {
      stage->unset.push_back({{key.keys.begin() + 2, key.keys.end()}, key.at, key.found});
    }
    return stage != nullptr || key.found;
  });
}

/// Whether a table that is laid on an array names items of it, by number.
bool names_items(const ConfigNode& array, const ConfigNode& over) {
  return array.type == ConfigNode::Type::array && over.is_table() && !over.entries.empty() &&
         std::all_of(over.entries.begin(), over.entries.end(), [&](const ConfigEntry& entry) {
           return entry.value.is_table() && array.item(entry.key) != nullptr;
         });
}

void merge_tables(ConfigNode& base, ConfigNode over, const MergeRules& rules, Place place) {
  take_away_by(base, over);
  if (place == Place::root) {
    distribute_unset(base, over);
  }
  if (component_changes(base, over)) {
    drop_entries_except(base,
                        place == Place::data_source ? rules.data_keys : std::vector<std::string>{});
  }
  // An override names a table on its way to a key; the table's place stays.
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
    } else if (names_items(present->value, entry.value)) {
      for (ConfigEntry& item : entry.value.entries) {
        merge_tables(*present->value.item(item.key), std::move(item.value), rules,
                     Place::elsewhere);
      }
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

const ConfigNode* ConfigNode::item(const std::string& key) const {
  const std::optional<size_t> number = item_number(key);
  return number && *number < items.size() && items[*number].is_table() ? &items[*number] : nullptr;
}

ConfigNode* ConfigNode::item(const std::string& key) {
  return const_cast<ConfigNode*>(std::as_const(*this).item(key));
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
  return entry == nullptr ? nullptr : entry->value.as_text();
}

const std::string* ConfigNode::as_text() const {
  if (const auto* held = std::get_if<std::string>(&scalar)) {
    return held;
  }
  return spelled.empty() ? nullptr : &spelled;
}

ConfigEntry& ConfigNode::set(ConfigEntry entry) {
  if (ConfigEntry* present = find(entry.key)) {
    *present = std::move(entry);
    return *present;
  }
  entries.push_back(std::move(entry));
  return entries.back();
}

bool ConfigNode::erase(const std::string& key) {
  return std::erase_if(entries, [&](const ConfigEntry& entry) { return entry.key == key; }) > 0;
}

bool ConfigNode::erase_path(const std::vector<std::string>& keys) {
  ConfigNode* node = this;
  for (size_t i = 0; i + 1 < keys.size(); ++i) {
    ConfigEntry* entry = node->find(keys[i]);
    node = entry != nullptr ? &entry->value : node->item(keys[i]);
    if (node == nullptr) {
      return false;
    }
  }
  if (keys.empty() || node->item(keys.back()) == nullptr) {
    return !keys.empty() && node->erase(keys.back());
  }
  node->items.erase(node->items.begin() + static_cast<std::ptrdiff_t>(*item_number(keys.back())));
  return true;
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

void take_away(ConfigNode& table, std::vector<UnsetKey>& unset, const std::string& below) {
  std::vector<UnsetKey*> order;
  for (UnsetKey& key : unset) {
    if (below.empty() || (key.keys.size() > 1 && key.keys.front() == below)) {
      order.push_back(&key);
    }
  }
  std::sort(order.begin(), order.end(), [](const UnsetKey* left, const UnsetKey* right) {
    return erased_before(*left, *right);
  });
  for (UnsetKey* key : order) {
    const auto first = key->keys.begin() + (below.empty() ? 0 : 1);
    key->found = table.erase_path({first, key->keys.end()}) || key->found;
  }
}

std::string describe_given(const ConfigNode& node) {
  if (node.type == ConfigNode::Type::table) {
    return "a table was given";
  }
  if (node.type == ConfigNode::Type::date) {
    return "a date was given";
  }
  const std::optional<Value> value = to_value(node);
  if (!value) {
    return "an array of mixed or unsuitable types was given";
  }
  const bool empty = node.type == ConfigNode::Type::array && node.items.empty();
  return fmt::format("{} is {}", shortened(node.spelled.empty() ? to_toml(*value) : node.spelled),
                     empty ? "an empty array" : describe(type_of(*value)));
}

void merge(ConfigNode& base, ConfigNode over) {
  raise_above(base, over);
  merge_tables(base, std::move(over), {}, Place::elsewhere);
}

void merge_pipeline(ConfigNode& base, ConfigNode over, const MergeRules& rules) {
  raise_above(base, over);
  merge_tables(base, std::move(over), rules, Place::root);
}

void flatten_layers(ConfigNode& node) {
  change_layers(node, [](int /*layer*/) { return 0; });
}

}  // namespace bissl::host
