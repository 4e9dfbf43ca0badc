// Tables that name a component: `use`, and the component's parameters.

#include "base/spelling.h"
#include "pipeline/table_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl::host {
namespace {

std::string with_article(ComponentKind kind) {
  const bool vowel = kind == ComponentKind::augmentation || kind == ComponentKind::optimizer;
  return (vowel ? "an " : "a ") + to_string(kind);
}

}  // namespace

std::string component_example(ComponentKind kind) {
  return fmt::format("a table that names {}: {{ use = \"NAME\", … }}", with_article(kind));
}

ComponentChoice TableReader::read_component(const ConfigNode& node, ComponentKind kind,
                                            const std::string& path,
                                            const std::vector<std::string>& host_keys) {
  ComponentChoice choice;
  const ConfigEntry* use = node.find("use");
  if (use == nullptr) {
    missing(node, path, "use", quoted_list(names_of(kind, false)));
    return choice;
  }
  choice.origin = use->value.at.text();
  choice.component = find_component(use->value, kind, joined_key(path, "use"));
  if (!choice.component) {
    return choice;  // which keys belong here is not known
  }
  const ComponentInfo& info = choice.component->info;
  std::vector<std::string> accepted = {"use"};
  for (const ParameterSpec& parameter : info.parameters) {
    accepted.push_back(parameter.name);
  }
  for (const std::string& key : host_keys) {
    if (std::find(accepted.begin(), accepted.end(), key) == accepted.end()) {
      accepted.push_back(key);
    }
  }
  refuse_unknown(node, path, accepted, renamed_keys(info.parameters));
  const size_t errors_before = diagnostics_.errors();
  choice.values = read_values(node, info.parameters, path);
  if (diagnostics_.errors() == errors_before) {
    run_check(info.check, info.parameters, choice.values, node, path);
  }
  return choice;
}

std::shared_ptr<const RegisteredComponent> TableReader::find_component(const ConfigNode& use,
                                                                       ComponentKind kind,
                                                                       const std::string& path) {
  const std::string* name = use.as_text();
  if (name == nullptr) {
    diagnostics_.error(use.at, path, describe_given(use), quoted_list(names_of(kind, false)));
    return nullptr;
  }
  std::shared_ptr<const RegisteredComponent> component = components_->find(kind, *name);
  if (!component) {
    report_unknown_component(use, kind, *name, path);
  }
  return component;
}

void TableReader::report_unknown_component(const ConfigNode& use, ComponentKind kind,
                                           const std::string& name, const std::string& path) {
  for (const auto& component : components_->components()) {
    const std::vector<std::string>& formerly = component->info.text.formerly;
    if (component->info.kind == kind &&
        std::find(formerly.begin(), formerly.end(), name.substr(name.find('/') + 1)) !=
            formerly.end()) {
      diagnostics_.error(use.at, path,
                         fmt::format("renamed: the {} `{}` is `{}` now", to_string(kind), name,
                                     component->info.text.name));
      return;
    }
  }
  const bool qualified = name.find('/') != std::string::npos;
  std::string message =
      fmt::format("there is no {} {}", to_string(kind), to_toml(Value(shortened(name))));
  std::vector<std::string> kinds;
  for (const auto& component : components_->components()) {
    if (component->info.kind != kind &&
        (component->info.text.name == name || component->qualified_name() == name)) {
      kinds.push_back(with_article(component->info.kind));
    }
  }
  if (!kinds.empty()) {
    message += fmt::format(" (the name belongs to {})", fmt::join(kinds, " and to "));
  }
  if (const std::vector<std::string> refused = components_->refused(); !refused.empty()) {
    message += fmt::format(" (it may be in what could not be loaded: {}; `bissl plugins` says why)",
                           fmt::join(refused, ", "));
  }
  if (const std::vector<std::string> searched = components_->searched(); !searched.empty()) {
    message += fmt::format(" (looked in {})", fmt::join(searched, ", "));
  }
  const std::vector<std::string> available = names_of(kind, qualified);
  diagnostics_.error(use.at, path, message, quoted_list(available), nearest(name, available));
}

std::vector<std::string> TableReader::names_of(ComponentKind kind, bool qualified) const {
  std::vector<std::string> names;
  for (const auto& component : components_->components()) {
    if (component->info.kind == kind) {
      names.push_back(qualified ? component->qualified_name() : component->info.text.name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace bissl::host
