#include "cli/snippet.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace bissl::host {
namespace {

/// The header of the table of a component of this kind in a pipeline.
std::string header_of(ComponentKind kind) {
  switch (kind) {
    case ComponentKind::dataset:
      return "[data.NAME]";
    case ComponentKind::backbone:
      return "[model.backbone]";
    case ComponentKind::augmentation:
      return "[stage.NAME.augment]";
    case ComponentKind::transform:
      return "[[stage.NAME.augment]]";  // one step of a chain
    case ComponentKind::pretext:
    case ComponentKind::downstream:
    case ComponentKind::hypergradient:
    case ComponentKind::optimizer:
      return "[stage.NAME." + to_string(kind) + "]";
  }
  return "[NAME]";
}

/// A text as one comment, so that a line break in a declaration cannot end it.
std::string comment(const std::string& text) {
  std::string line = "# " + text;
  std::replace_if(
      line.begin(), line.end(),
      [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }, ' ');
  return line + "\n";
}

std::string commented_out(const std::string& text) {
  std::string result;
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    const std::string line = text.substr(begin, end - begin);
    result += line.empty() || line.front() == '#' ? line + "\n" : "# " + line + "\n";
    begin = end + 1;
  }
  return result;
}

double simple_number(const ParameterSpec& spec) {
  const double low = spec.minimum;
  const double high = spec.maximum;
  const std::array<double, 9> candidates = {
      1.0, 0.1, 0.0, low, low + 1.0, high, high - 1.0, (low + high) / 2.0, low + 1e-3};
  const auto fits = [&](double number) {
    const bool whole = spec.type != ValueType::integer && spec.type != ValueType::integers;
    return std::isfinite(number) && (whole || number == std::floor(number)) &&
           (spec.minimum_excluded ? number > low : number >= low) &&
           (spec.maximum_excluded ? number < high : number <= high);
  };
  const auto found = std::find_if(candidates.begin(), candidates.end(), fits);
  return found == candidates.end() ? 1.0 : *found;
}

template <class T>
Value list_of(const ParameterSpec& spec, const T& element) {
  return std::vector<T>(static_cast<size_t>(std::max<int64_t>(0, spec.length.value_or(1))),
                        element);
}

std::string parameter_lines(const ParameterSpec& spec) {
  const bool unset = type_of(spec.default_value) == ValueType::none;
  std::string facts = spec.accepted();
  if (!spec.unit.empty() && !spec.is_path()) {
    facts += "; unit: " + spec.unit;
  }
  if (unset) {
    facts += spec.required ? "; required" : "; may be left out";
  }
  const std::string line = fmt::format("{} = {}\n", spec.name, to_toml(example_value(spec)));
  return comment(fmt::format("{} ({})", spec.doc, facts)) +
         (unset && !spec.required ? "# " + line : line);
}

std::string slot_lines(const ComponentSlot& slot, const Registry& registry) {
  std::vector<std::string> names;
  for (const auto& component : registry.components()) {
    if (component->info.kind == slot.kind) {
      names.push_back(component->info.text.name);
    }
  }
  const std::string known =
      names.empty() ? "none is loaded" : fmt::format("{}", fmt::join(names, ", "));
  const std::string line =
      fmt::format("{} = {{ use = \"{}\" }}\n", slot.name, names.empty() ? "NAME" : names.front());
  return comment(fmt::format("{} ({}: {}{})", slot.doc, to_string(slot.kind), known,
                             slot.required ? "" : "; may be left out")) +
         (slot.required ? line : "# " + line);
}

std::string table_lines(const TableSpec& table, const std::string& header,
                        const Registry& registry) {
  std::string text;
  for (const ParameterSpec& spec : table.parameters) {
    text += parameter_lines(spec);
  }
  if (table.augment) {
    text +=
        slot_lines({"augment", ComponentKind::augmentation, true, table.augment->doc}, registry);
    text += comment("or a chain of transforms: augment = [ { use = \"NAME\" }, … ]");
    if (table.augment->several_views) {
      text += comment("or views that differ: views = [ { count = 2, augment = … }, … ]");
    }
  }
  for (const ComponentSlot& slot : table.components) {
    text += slot_lines(slot, registry);
  }
  for (const SubtableSpec& subtable : table.tables) {
    const std::string below = header + "." + subtable.name;
    std::string lines =
        (subtable.doc.empty()
             ? ""
             : comment(subtable.doc + (subtable.required ? "" : " (may be left out)"))) +
        (subtable.list ? fmt::format("[[{}]]\n", below) : fmt::format("[{}]\n", below)) +
        table_lines(subtable.table, below, registry);
    text += "\n" + (subtable.required ? lines : commented_out(lines));
  }
  return text;
}

}  // namespace

Value example_value(const ParameterSpec& spec) {
  if (type_of(spec.default_value) != ValueType::none) {
    return spec.default_value;
  }
  const std::string text = spec.choices.empty() ? "…" : spec.choices.front();
  const double number = simple_number(spec);
  switch (spec.type) {
    case ValueType::boolean:
      return false;
    case ValueType::integer:
      return static_cast<int64_t>(number);
    case ValueType::floating:
      return number;
    case ValueType::integers:
      return list_of(spec, static_cast<int64_t>(number));
    case ValueType::floats:
      return list_of(spec, number);
    case ValueType::strings:
      return list_of(spec, text);
    case ValueType::string:
    case ValueType::none:
      break;
  }
  return text;
}

std::string toml_snippet(const RegisteredComponent& component, bool qualified) {
  std::string text = comment(component.info.text.summary) +
                     fmt::format("{}\nuse = \"{}\"\n", header_of(component.info.kind),
                                 qualified ? component.qualified_name() : component.info.text.name);
  for (const ParameterSpec& spec : component.info.parameters) {
    text += parameter_lines(spec);
  }
  return text;
}

std::string toml_snippet(const StageKindSpec& kind, const Registry& registry) {
  std::string text =
      comment(kind.summary) + fmt::format("[stage.NAME]\nkind = \"{}\"\n", kind.name);
  if (kind.needs_parent) {
    text += comment(kind.from_scratch ? "the stage that it continues from, or \"scratch\""
                                      : "the stage that it continues from") +
            "from = \"PARENT\"\n";
  }
  return text + table_lines(kind.table, "stage.NAME", registry);
}

}  // namespace bissl::host
