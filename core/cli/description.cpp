#include "cli/description.h"

#include "data/selection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <variant>

namespace bissl::host {
namespace {

/// One entry of a list: its name, what it accepts, what it is.
struct Entry {
  std::string name;
  std::string facts;
  std::string doc;
};

std::string print(const std::string& heading, const std::vector<Entry>& entries) {
  size_t width = 0;
  for (const Entry& entry : entries) {
    width = std::max(width, entry.name.size());
  }
  std::string text = entries.empty() ? "" : fmt::format("\n{}\n", heading);
  for (const Entry& entry : entries) {
    text += fmt::format("  {:<{}}  {}\n", entry.name, width, entry.facts);
    if (!entry.doc.empty()) {
      text += fmt::format("  {:<{}}  {}\n", "", width, entry.doc);
    }
  }
  return text;
}

std::string default_words(const ParameterSpec& spec) {
  if (spec.required) {
    return "required";
  }
  return type_of(spec.default_value) == ValueType::none ? "may be left out"
                                                        : "default " + to_toml(spec.default_value);
}

Entry parameter_entry(const ParameterSpec& spec) {
  std::string facts = fmt::format("{}; {}", spec.accepted(), default_words(spec));
  if (!spec.unit.empty()) {
    facts += "; unit: " + spec.unit;
  }
  if (spec.names_data()) {
    facts += "; names a [data.NAME]";
  }
  for (const EffectCondition& condition : spec.only_with) {
    facts += "; only " + condition.text();
  }
  if (spec.execution_only()) {
    facts += "; changes no result";
  }
  return {spec.name, facts, spec.doc};
}

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

/// "a table; required": what a subtable is.
std::string table_facts(const SubtableSpec& spec) {
  const char* const form = spec.list      ? "an array of tables"
                           : spec.or_list ? "a table, or an array of such tables"
                                          : "a table";
  std::string facts = fmt::format("{}; {}", form, spec.required ? "required" : "may be left out");
  if (spec.execution_only) {
    facts += "; changes no result";
  }
  return facts;
}

/// The table at `path` (empty for the outermost one) and all below it.
std::string describe_table(const TableSpec& table, const std::string& path) {
  const std::string in = path.empty() ? "" : fmt::format(" of the table \"{}\"", path);
  std::vector<Entry> parameters;
  for (const ParameterSpec& spec : table.parameters) {
    parameters.push_back(parameter_entry(spec));
  }
  std::string text = print("Parameters" + in, parameters);
  std::vector<Entry> components;
  if (table.augment) {
    const bool several = table.augment->several_views;
    components.push_back({"augment",
                          fmt::format("an augmentation, {{ use = … }}, or a chain of transforms, "
                                      "[ {{ use = … }}, … ]; {}",
                                      several ? "required, or views" : "required"),
                          table.augment->doc});
    if (several) {
      components.push_back({"views",
                            "an array of groups of views, each { count = N, augment = … }; in the "
                            "place of augment",
                            "how many views are made in which way"});
    }
  }
  for (const ComponentSlot& slot : table.components) {
    components.push_back({slot.name,
                          fmt::format("a component of kind {}; {}", to_string(slot.kind),
                                      slot.required ? "required" : "may be left out"),
                          slot.doc});
  }
  text += print("Components" + in, components);
  std::vector<Entry> tables;
  for (const SubtableSpec& subtable : table.tables) {
    tables.push_back({subtable.name, table_facts(subtable), subtable.doc});
  }
  text += print("Tables" + in, tables);
  for (const SubtableSpec& subtable : table.tables) {
    text += describe_table(subtable.table, joined(path, subtable.name));
  }
  if (!table.free_keys.empty()) {
    text +=
        fmt::format("\n{}{}\n  {}\n", path.empty() ? "Other keys" : "Keys", in, table.free_keys);
  }
  return text;
}

struct JsonOf {
  nlohmann::json operator()(std::monostate /*unset*/) const { return nullptr; }
  template <class T>
  nlohmann::json operator()(const T& value) const {
    return value;
  }
};

/// TOML's word for the type of a parameter that is no array, or of an array's elements.
std::string type_word(ValueType element) {
  switch (element) {
    case ValueType::boolean:
      return "boolean";
    case ValueType::integer:
      return "integer";
    case ValueType::floating:
      return "float";
    case ValueType::string:
      return "string";
    case ValueType::none:
    case ValueType::integers:
    case ValueType::floats:
    case ValueType::strings:
      break;
  }
  return "unknown";
}

nlohmann::json parameter_json(const ParameterSpec& spec) {
  nlohmann::json json = {{"name", spec.name},
                         {"type", spec.is_list() ? "array" : type_word(spec.type)},
                         {"accepted", spec.accepted()},
                         {"required", spec.required},
                         {"default", std::visit(JsonOf{}, spec.default_value)},
                         {"unit", spec.unit},
                         {"doc", spec.doc}};
  if (spec.is_list()) {
    json["items"] = type_word(spec.element_type());
  }
  if (std::isfinite(spec.minimum)) {
    json[spec.minimum_excluded ? "more_than" : "at_least"] = spec.minimum;
  }
  if (std::isfinite(spec.maximum)) {
    json[spec.maximum_excluded ? "less_than" : "at_most"] = spec.maximum;
  }
  if (!spec.choices.empty()) {
    json["choices"] = spec.choices;
  }
  if (spec.length) {
    json["length"] = *spec.length;
  }
  for (const EffectCondition& condition : spec.only_with) {
    json["only"].push_back(condition.text());
  }
  for (const auto& [trait, value] : spec.traits) {
    json[trait] = std::visit(JsonOf{}, value);
  }
  return json;
}

nlohmann::json parameters_json(const std::vector<ParameterSpec>& specs) {
  nlohmann::json json = nlohmann::json::array();
  for (const ParameterSpec& spec : specs) {
    json.push_back(parameter_json(spec));
  }
  return json;
}

nlohmann::json table_json(const TableSpec& table) {
  nlohmann::json components = nlohmann::json::array();
  if (table.augment) {
    components.push_back({{"name", "augment"},
                          {"kind", to_string(ComponentKind::augmentation)},
                          {"chain_of", to_string(ComponentKind::transform)},
                          {"several_views", table.augment->several_views},
                          {"required", true},
                          {"doc", table.augment->doc}});
  }
  for (const ComponentSlot& slot : table.components) {
    components.push_back({{"name", slot.name},
                          {"kind", to_string(slot.kind)},
                          {"required", slot.required},
                          {"doc", slot.doc}});
  }
  nlohmann::json tables = nlohmann::json::array();
  for (const SubtableSpec& subtable : table.tables) {
    nlohmann::json json = table_json(subtable.table);
    json["name"] = subtable.name;
    json["required"] = subtable.required;
    json["doc"] = subtable.doc;
    json["list"] = subtable.list;
    json["or_list"] = subtable.or_list;
    json["execution_only"] = subtable.execution_only;
    json["inherits_from"] = subtable.inherits_from;
    tables.push_back(std::move(json));
  }
  return {{"parameters", parameters_json(table.parameters)},
          {"components", std::move(components)},
          {"tables", std::move(tables)},
          {"free_keys", table.free_keys}};
}

std::vector<std::string> names_of(const std::vector<TargetKind>& kinds) {
  std::vector<std::string> names;
  for (const TargetKind kind : kinds) {
    names.push_back(to_string(kind));
  }
  return names;
}

}  // namespace

std::string describe_component(const RegisteredComponent& component) {
  const ComponentText& text = component.info.text;
  const LibraryIdentity& library = component.library;
  std::string result =
      fmt::format("{} {}: {}\n", to_string(component.info.kind), text.name, text.summary);
  if (!text.source.empty()) {
    result += fmt::format("Source: {}\n", text.source);
  }
  if (!text.takes.empty()) {
    result += fmt::format("Takes: {} targets\n", fmt::join(names_of(text.takes), ", "));
  }
  result += fmt::format("Library: {} {} ({}), {}\n", library.name, library.version, library.license,
                        library.path);
  std::vector<Entry> parameters;
  const ParameterValues of_host = component.info.kind == ComponentKind::dataset
                                      ? defaults(selection_spec().parameters)
                                      : ParameterValues{};
  for (const ParameterSpec& spec : component.info.parameters) {
    parameters.push_back(parameter_entry(spec));
    if (of_host.count(spec.name) != 0) {
      parameters.back().facts +=
          fmt::format("; the program's own `{}` is `host.{}` here", spec.name, spec.name);
    }
  }
  return result + (parameters.empty() ? "\nNo parameters\n" : print("Parameters", parameters));
}

std::string describe_stage_kind(const StageKindSpec& kind) {
  std::string text = fmt::format("stage kind {}: {}\n", kind.name, kind.summary);
  const std::string taken =
      kind.takes.empty() ? "" : fmt::format(" that has a {}", fmt::join(kind.takes, " and a "));
  text +=
      kind.is_root ? "Continues no other stage: its weights come from elsewhere.\n"
      : !kind.from_scratch
          ? fmt::format("Continues from another stage{} (from = \"NAME\").\n", taken)
      : kind.needs_parent
          ? fmt::format(
                "Continues from another stage{} (from = \"NAME\") or starts anew (from = "
                "\"scratch\").\n",
                taken)
          : fmt::format("Starts from random weights, or continues from another stage{}.\n", taken);
  text += kind.hands_on.empty() ? "No other stage continues from it.\n"
                                : fmt::format("Stages that continue from it get its {}.\n",
                                              fmt::join(kind.hands_on, " and "));
  if (!kind.made_anew.empty()) {
    text += fmt::format("What else they need ({}) they start at random.\n",
                        fmt::join(kind.made_anew, ", "));
  }
  for (const SubtableSpec& subtable : kind.table.tables) {
    if (!subtable.inherits_from.empty()) {
      text += fmt::format(
          "What its table \"{}\" leaves out is taken from the nearest {} stage that "
          "it continues from.\n",
          subtable.name, subtable.inherits_from);
    }
  }
  return text + describe_table(kind.table, "");
}

std::string describe_document(const DocumentSpec& document) {
  return fmt::format("{}: {}\n", document.name, document.summary) +
         describe_table(document.table, "");
}

nlohmann::json library_json(const LibraryIdentity& library) {
  return {{"name", library.name},         {"version", library.version},
          {"license", library.license},   {"path", library.path},
          {"compiler", library.compiler}, {"cxx_abi_version", library.cxx_abi_version}};
}

nlohmann::json component_json(const RegisteredComponent& component) {
  return {{"kind", to_string(component.info.kind)},
          {"name", component.info.text.name},
          {"qualified_name", component.qualified_name()},
          {"summary", component.info.text.summary},
          {"source", component.info.text.source},
          {"takes", names_of(component.info.text.takes)},
          {"library", library_json(component.library)},
          {"parameters", parameters_json(component.info.parameters)}};
}

nlohmann::json stage_kind_json(const StageKindSpec& kind) {
  nlohmann::json json = table_json(kind.table);
  json["name"] = kind.name;
  json["summary"] = kind.summary;
  json["needs_parent"] = kind.needs_parent;
  json["from_scratch"] = kind.from_scratch;
  json["hands_on"] = kind.hands_on;
  json["takes"] = kind.takes;
  json["is_root"] = kind.is_root;
  json["made_anew"] = kind.made_anew;
  return json;
}

nlohmann::json document_json(const DocumentSpec& document) {
  nlohmann::json json = table_json(document.table);
  json["name"] = document.name;
  json["summary"] = document.summary;
  return json;
}

}  // namespace bissl::host
