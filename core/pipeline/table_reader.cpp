#include "pipeline/table_reader.h"
#include "base/exception_text.h"
#include "base/spelling.h"
#include "pipeline/path_fault.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// What was given where a value of `type` is wanted.
std::string describe_refused(const ConfigNode& node, ValueType type) {
  const auto* real = std::get_if<double>(&node.scalar);
  if (type == ValueType::integer && real != nullptr && *real == std::floor(*real) &&
      std::isfinite(*real)) {
    // A whole number that was not taken is too large.
    return fmt::format("{} is {}", to_toml(*real),
                       std::abs(*real) < 0x1p63
                           ? "a float beyond 2^53, where floats skip integers: write it as an "
                             "integer, without point and exponent"
                           : "beyond the integers of 64 bits");
  }
  return describe_given(node);
}

/// A single value as a list of one; a list stays.
void wrap_in_list(Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    value = std::vector<std::string>{*text};
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    value = std::vector<int64_t>{*integer};
  } else if (const auto* real = std::get_if<double>(&value)) {
    value = std::vector<double>{*real};
  }
}

/// Absolute; as it is where there is no current folder.
fs::path absolute_path(const fs::path& path) {
  std::error_code failed;
  const fs::path absolute = fs::absolute(path, failed);
  fs::path normal = (failed ? path : absolute).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

}  // namespace

std::vector<std::string> keys_of(const TableSpec& spec) {
  std::vector<std::string> keys;
  for (const ParameterSpec& parameter : spec.parameters) {
    keys.push_back(parameter.name);
  }
  for (const ComponentSlot& slot : spec.components) {
    keys.push_back(slot.name);
  }
  if (spec.augment) {
    keys.emplace_back("augment");
    if (spec.augment->several_views) {
      keys.emplace_back("views");
    }
  }
  for (const SubtableSpec& subtable : spec.tables) {
    keys.push_back(subtable.name);
  }
  return keys;
}

std::map<std::string, std::string> renamed_keys(const std::vector<ParameterSpec>& specs) {
  std::map<std::string, std::string> renamed;
  for (const ParameterSpec& spec : specs) {
    for (const std::string& former : spec.former_names()) {
      renamed.emplace(former, spec.name);
    }
  }
  return renamed;
}

Table TableReader::read_table(const ConfigNode& node, const TableSpec& spec,
                              const std::string& path, const std::vector<std::string>& host_keys) {
  std::vector<std::string> accepted = host_keys;
  const std::vector<std::string> declared = keys_of(spec);
  accepted.insert(accepted.end(), declared.begin(), declared.end());
  if (spec.free_keys.empty()) {
    std::map<std::string, std::string> renamed = renamed_keys(spec.parameters);
    renamed.insert(spec.renamed.begin(), spec.renamed.end());
    refuse_unknown(node, path, accepted, renamed);
  }
  return read_entries(node, spec, path);
}

Table TableReader::read_entries(const ConfigNode& node, const TableSpec& spec,
                                const std::string& path) {
  const size_t errors_before = diagnostics_.errors();
  Table table;
  table.origin = node.at.text();
  table.values = read_values(node, spec.parameters, path);
  const bool sound = diagnostics_.errors() == errors_before;
  for (const ComponentSlot& slot : spec.components) {
    const ConfigEntry* entry = node.find(slot.name);
    const std::string slot_path = joined_key(path, slot.name);
    if (entry == nullptr) {
      if (slot.required) {
        missing(node, path, slot.name, component_example(slot.kind));
      }
    } else if (is_table(*entry, slot_path, component_example(slot.kind))) {
      table.components[slot.name] = read_component(entry->value, slot.kind, slot_path);
    }
  }
  if (spec.augment) {
    table.views = read_views(node, *spec.augment, path);
  }
  for (const ParameterSpec& parameter : spec.parameters) {
    if (parameter.names_data()) {
      table.data_keys.insert(parameter.name);
    }
    if (parameter.execution_only()) {
      table.execution_only.insert(parameter.name);
    }
    if (parameter.traits.count(default_is_absence) != 0) {
      table.absences[parameter.name] = parameter.default_value;
    }
  }
  for (const SubtableSpec& subtable : spec.tables) {
    read_subtable(node, subtable, path, table);
  }
  if (sound) {
    run_check(spec.check, spec.parameters, table.values, node, path);
  }
  return table;
}

void TableReader::read_subtable(const ConfigNode& node, const SubtableSpec& spec,
                                const std::string& path, Table& table) {
  const ConfigEntry* entry = node.find(spec.name);
  const std::string own_path = joined_key(path, spec.name);
  if (spec.execution_only) {
    table.execution_only.insert(spec.name);
  }
  const bool is_array = entry != nullptr && entry->value.type == ConfigNode::Type::array;
  if (spec.list || (spec.or_list && is_array)) {
    if (entry != nullptr) {
      table.lists[spec.name] = read_list(entry->value, spec, own_path);
    }
    return;
  }
  const std::vector<std::string> keys = keys_of(spec.table);
  const std::string accepted = "a table with " +
                               (keys.empty() ? spec.table.free_keys : quoted_list(keys)) +
                               (spec.or_list ? ", or an array of such tables" : "");
  if (entry == nullptr) {
    if (spec.required) {
      missing(node, path, spec.name, accepted);
    }
  } else if (is_table(*entry, own_path, accepted)) {
    table.tables[spec.name] = read_table(entry->value, spec.table, own_path);
  }
}

std::vector<Table> TableReader::read_list(const ConfigNode& node, const SubtableSpec& spec,
                                          const std::string& path) {
  const bool is_free = !spec.table.free_keys.empty();
  const std::string accepted =
      fmt::format("tables [[{}]] with {}", path,
                  is_free ? spec.table.free_keys : quoted_list(keys_of(spec.table)));
  std::vector<Table> tables;
  if (node.type != ConfigNode::Type::array) {
    diagnostics_.error(node.at, path, describe_given(node), accepted);
    return tables;
  }
  if (spec.or_list && node.items.empty()) {
    diagnostics_.error(node.at, path, "the array is empty", accepted);
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const ConfigNode& item = node.items[i];
    if (!item.is_table()) {
      diagnostics_.error(item.at, path, describe_given(item), accepted);
    } else if (!is_free) {
      tables.push_back(read_table(item, spec.table, joined_key(path, std::to_string(i))));
    }
  }
  return tables;
}

void TableReader::refuse_unknown(const ConfigNode& node, const std::string& path,
                                 const std::vector<std::string>& accepted,
                                 const std::map<std::string, std::string>& renamed) {
  for (const ConfigEntry& entry : node.entries) {
    if (std::find(accepted.begin(), accepted.end(), entry.key) != accepted.end()) {
      continue;
    }
    const std::string key = joined_key(path, entry.key);
    if (const auto found = renamed.find(entry.key); found != renamed.end()) {
      diagnostics_.error(entry.key_at, key,
                         fmt::format("renamed: `{}` is `{}` now", found->first, found->second));
    } else {
      diagnostics_.error(entry.key_at, key, "unknown key", quoted_list(accepted),
                         nearest(entry.key, accepted));
    }
  }
}

ParameterValues TableReader::read_values(const ConfigNode& node,
                                         const std::vector<ParameterSpec>& specs,
                                         const std::string& path) {
  ParameterValues values = defaults(specs);
  for (const ParameterSpec& spec : specs) {
    if (const ConfigEntry* entry = node.find(spec.name)) {
      values[spec.name] = read_value(entry->value, spec, key_in_file(joined_key(path, spec.name)));
    } else if (spec.required) {
      missing(node, path, spec.name, spec.accepted());
    }
  }
  return values;
}

Value TableReader::read_value(const ConfigNode& node, const ParameterSpec& spec,
                              const std::string& path) {
  std::optional<Value> value = to_value(node);
  if (const std::string* text = node.as_text();
      text != nullptr && *text == auto_value && spec.traits.count(takes_auto) != 0) {
    return *text;
  }
  if (const std::string* text = node.as_text(); text != nullptr && spec.type == ValueType::string) {
    value = *text;
  }
  if (Value one = value.value_or(Value());
      spec.accepts_one() && convert(one, spec.element_type())) {
    wrap_in_list(*value);
  }
  if (!value || !convert(*value, spec.type)) {
    diagnostics_.error(node.at, path, describe_refused(node, spec.type), spec.accepted());
    return spec.default_value;
  }
  if (const std::string reason = spec.refusal(*value); !reason.empty()) {
    const std::string* text = std::get_if<std::string>(&*value);
    diagnostics_.error(node.at, path, fmt::format("{} {}", shortened(to_toml(*value)), reason),
                       spec.accepted(),
                       text == nullptr ? std::vector<std::string>{} : nearest(*text, spec.choices));
    return spec.default_value;
  }
  if (spec.is_path()) {
    resolve_paths(*value, node.at, path);
  }
  if (spec.names_data()) {
    check_data(node, spec, path);
  }
  return *value;
}

void TableReader::check_data(const ConfigNode& node, const ParameterSpec& spec,
                             const std::string& path) {
  const auto* standard = std::get_if<std::string>(&spec.default_value);
  const bool may_name_none = standard != nullptr && standard->empty();
  if (data_ == nullptr || (may_name_none && node.scalar == spec.default_value)) {
    return;  // an empty text names none, where that is the default
  }
  const auto check = [&](const ConfigNode& one) {
    const std::string* name = one.as_text();
    if (name == nullptr) {
      return;
    }
    named_data_.insert(*name);
    if (std::find(data_->begin(), data_->end(), *name) == data_->end()) {
      diagnostics_.error(
          one.at, path, fmt::format("there is no data source {}", to_toml(Value(shortened(*name)))),
          quoted_list(*data_), nearest(*name, *data_));
    }
  };
  check(node);
  std::for_each(node.items.begin(), node.items.end(), check);
}

void TableReader::resolve_paths(Value& value, const Location& at, const std::string& path) {
  if (auto* text = std::get_if<std::string>(&value)) {
    *text = resolved_path(*text, at, path);
  } else if (auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    for (std::string& item : *texts) {
      item = resolved_path(item, at, path);
    }
  }
}

/// Absolute paths stay as they are written, to the letter.
std::string TableReader::resolved_path(const std::string& text, const Location& at,
                                       const std::string& path) {
  if (const std::string fault = path_fault(text); !fault.empty()) {
    diagnostics_.error(at, path, fault);
    return text;
  }
  if (text.empty() || fs::path(text).is_absolute()) {
    return text;
  }
  const fs::path from_here = absolute_path(text);
  if (at.line == 0) {
    return from_here.string();  // an override
  }
  const fs::path folder = absolute_path(fs::path(at.file).parent_path() / ".");
  const fs::path from_file = absolute_path(folder / text);
  std::error_code ignored;
  if (!fs::exists(from_file, ignored) && fs::exists(from_here, ignored)) {
    diagnostics_.error(
        at, path,
        fmt::format("{} is relative to the folder of this file, and there is no {}; it used to be "
                    "taken from the current folder, where there is one: to mean that one, write {}",
                    to_toml(text), from_file.string(),
                    to_toml(from_here.lexically_relative(folder).string())));
  }
  return from_file.string();
}

std::set<std::string> TableReader::given(const std::vector<ParameterSpec>& specs,
                                         const ParameterValues& values,
                                         const ConfigNode& node) const {
  std::set<std::string> names;
  for (const ParameterSpec& spec : specs) {
    if (node.find(spec.name) != nullptr &&
        !(defaults_are_written_ && values.at(spec.name) == spec.default_value)) {
      names.insert(spec.name);
    }
  }
  return names;
}

void TableReader::run_check(const Check& check, const std::vector<ParameterSpec>& specs,
                            const ParameterValues& values, const ConfigNode& node,
                            const std::string& path) {
  const bool complete = std::all_of(values.begin(), values.end(), [&](const auto& value) {
    return type_of(value.second) != ValueType::none || report_missing_;
  });
  if (!complete) {
    return;  // a required value may be the one that could not be inherited
  }
  std::vector<Finding> findings;
  try {
    findings = check ? check(values) : std::vector<Finding>{};
  } catch (const std::exception& exception) {
    diagnostics_.error(
        node.at, path,
        fmt::format("the rules over its values failed: {}", exception_text(exception)));
  } catch (...) {
    diagnostics_.error(node.at, path,
                       "the rules over its values failed with an exception that is not a "
                       "std::exception");
  }
  const std::vector<Finding> idle =
      findings_without_effect(specs, values, given(specs, values, node));
  findings.insert(findings.end(), idle.begin(), idle.end());
  for (const Finding& finding : findings) {
    const ConfigEntry* entry = node.find_path(finding.parameter);
    const Location& at = entry == nullptr ? node.at : entry->value.at;
    const std::string key = finding.parameter.empty()
                                ? path
                                : key_in_file(fmt::format("{}.{}", path, finding.parameter));
    if (finding.severity == Finding::Severity::error) {
      diagnostics_.error(at, key, finding.message);
    } else {
      diagnostics_.warning(at, key, finding.message);
    }
  }
}

void TableReader::missing(const ConfigNode& table, const std::string& path, const std::string& key,
                          const std::string& accepted) {
  if (report_missing_) {
    diagnostics_.missing(table.at, joined_key(path, key), "this required key is missing", accepted);
  }
}

bool TableReader::is_table(const ConfigEntry& entry, const std::string& path,
                           const std::string& accepted) {
  if (!entry.value.is_table()) {
    diagnostics_.error(entry.value.at, path, describe_given(entry.value), accepted);
    return false;
  }
  return true;
}

}  // namespace bissl::host
