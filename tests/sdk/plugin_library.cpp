#include "sdk/plugin_library.h"

#include "support/paths.h"

#include <dlfcn.h>

#include <set>
#include <stdexcept>

namespace bissl::host::test {

PluginLibrary::PluginLibrary(const std::string& name) {
  const std::string path = std::string(plugin_folder) + "/" + name + ".so";
  // Never closed: LibTorch makes unloading unsafe.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw std::runtime_error(dlerror());
  }
  const auto entry = reinterpret_cast<BisslEntryFunction>(dlsym(library, BISSL_ENTRY_SYMBOL));
  if (entry == nullptr) {
    throw std::runtime_error(path + " has no " + BISSL_ENTRY_SYMBOL);
  }
  char error[1024] = "";
  if (entry()->register_components(static_cast<Registrar*>(this), error, sizeof error) != 0) {
    throw std::runtime_error(path + ": " + error);
  }
}

void PluginLibrary::add(ComponentInfo info) {
  for (const std::string& fault : faults(info.parameters)) {
    throw std::invalid_argument(info.text.name + ": " + fault);
  }
  const std::string name = info.text.name;
  if (!components_.emplace(name, std::move(info)).second) {
    throw std::invalid_argument(name + ": registered twice");
  }
}

std::vector<std::string> PluginLibrary::names() const {
  std::vector<std::string> names;
  for (const auto& [name, info] : components_) {
    names.push_back(name);
  }
  return names;
}

ParameterValues PluginLibrary::values(const std::string& name,
                                      const ParameterValues& changes) const {
  const std::vector<ParameterSpec>& specs = component(name).parameters;
  ParameterValues values = defaults(specs);
  for (const auto& [parameter, value] : changes) {
    if (!values.contains(parameter)) {
      throw std::invalid_argument(name + " has no parameter " + parameter);
    }
    values[parameter] = value;
  }
  for (const ParameterSpec& spec : specs) {
    Value& value = values[spec.name];
    const bool unset = type_of(value) == ValueType::none;
    if (unset ? spec.required : !convert(value, spec.type)) {
      throw std::invalid_argument(spec.name + ": expected " + spec.accepted());
    }
    if (const std::string reason = spec.refusal(value); !reason.empty()) {
      throw std::invalid_argument(spec.name + " " + reason + "; expected " + spec.accepted());
    }
  }
  return values;
}

std::vector<std::string> PluginLibrary::findings(const std::string& name,
                                                 const ParameterValues& changes) const {
  std::vector<std::string> texts;
  const ParameterValues all = values(name, changes);
  std::vector<Finding> findings = component(name).check(all);
  std::set<std::string> given;
  for (const auto& [parameter, value] : changes) {
    given.insert(parameter);
  }
  const std::vector<Finding> idle = findings_without_effect(component(name).parameters, all, given);
  findings.insert(findings.end(), idle.begin(), idle.end());
  for (const Finding& finding : findings) {
    const bool warning = finding.severity == Finding::Severity::warning;
    texts.push_back((warning ? "warning " : "") + finding.parameter + ": " + finding.message);
  }
  return texts;
}

const PluginLibrary& shared_library(const std::string& name) {
  static std::map<std::string, std::unique_ptr<PluginLibrary>> loaded;
  std::unique_ptr<PluginLibrary>& library = loaded[name];
  if (!library) {
    library = std::make_unique<PluginLibrary>(name);
  }
  return *library;
}

}  // namespace bissl::host::test
