#include "conformance/given_values.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/toml_parser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl::host {
namespace {

using Components = std::vector<std::shared_ptr<const RegisteredComponent>>;

bool is_for(const GivenValue& given, const ComponentInfo& info) {
  return given.component.empty() || given.component == info.text.name;
}

std::string named(const ComponentInfo& info) {
  return fmt::format("{} {}", to_string(info.kind), info.text.name);
}

/// "; did you mean "a" or "b"?", or what there is.
std::string advice(const std::string& wrong, const std::vector<std::string>& names) {
  const std::vector<std::string> near = nearest(wrong, names);
  if (!near.empty()) {
    return fmt::format("; did you mean \"{}\"?", fmt::join(near, "\" or \""));
  }
  return names.empty() ? "; there are none"
                       : fmt::format("; there are \"{}\"", fmt::join(names, "\", \""));
}

[[noreturn]] void fail_unknown(const GivenValue& given, const Components& components) {
  std::vector<std::string> owners;
  std::vector<std::string> parameters;
  for (const auto& component : components) {
    owners.push_back(component->info.text.name);
    if (is_for(given, component->info)) {
      for (const ParameterSpec& spec : component->info.parameters) {
        if (std::find(parameters.begin(), parameters.end(), spec.name) == parameters.end()) {
          parameters.push_back(spec.name);
        }
      }
    }
  }
  if (!given.component.empty() &&
      std::find(owners.begin(), owners.end(), given.component) == owners.end()) {
    fail_input("--set {}: the library has no component \"{}\"{}", given.text, given.component,
               advice(given.component, owners));
  }
  fail_input(
      "--set {}: {} parameter \"{}\"{}", given.text,
      given.component.empty() ? "no component of the library has a" : given.component + " has no",
      given.parameter, advice(given.parameter, parameters));
}

/// The value in the parameter's own type. Throws where it is refused.
Value accepted_value(const GivenValue& given, const ComponentInfo& info,
                     const ParameterSpec& spec) {
  Value value = given.value;
  if (!convert(value, spec.type)) {
    const bool wants_text = spec.type == ValueType::string;
    fail_input("--set {}: parameter {} of {} wants {}, found {}, {}{}", given.text, spec.name,
               named(info), spec.accepted(), describe(type_of(value)), to_toml(value),
               wants_text ? fmt::format("; a text in quotes is one: --set '{}=\"{}\"'", spec.name,
                                        to_toml(value))
                          : "");
  }
  if (const std::string reason = spec.refusal(value); !reason.empty()) {
    fail_input("--set {}: parameter {} of {} {}; it wants {}", given.text, spec.name, named(info),
               reason, spec.accepted());
  }
  return value;
}

/// Something that a required parameter accepts, or an unset value.
Value usual_value(const ParameterSpec& spec) {
  constexpr double usual = 0.01;  // most required numbers are learning rates
  Value value;
  if (spec.type == ValueType::floating) {
    value = std::clamp(usual, spec.minimum, spec.maximum);
  } else if (spec.type == ValueType::integer) {
    value = static_cast<int64_t>(std::clamp(8.0, spec.minimum, spec.maximum));
  } else if (spec.type == ValueType::boolean) {
    value = false;
  } else if (spec.type == ValueType::string && !spec.choices.empty()) {
    value = spec.choices.front();
  }
  const bool taken = type_of(value) != ValueType::none && spec.refusal(value).empty();
  return taken ? value : Value{};
}

/// Throws where a component's own rules refuse what was given, though not what it has without it.
void require_rules(const ComponentInfo& info, const std::vector<GivenValue>& given) {
  const TrialValues with = trial_values(info, given);
  if (with.given.empty() || !with.missing.empty()) {
    return;
  }
  const auto error_of = [&](const TrialValues& trial) -> std::string {
    if (!trial.missing.empty()) {
      return "";
    }
    for (const Finding& finding : info.check(trial.values)) {
      if (finding.severity == Finding::Severity::error) {
        return fmt::format("parameter {}: {}", finding.parameter, finding.message);
      }
    }
    return "";
  };
  const std::string error = error_of(with);
  if (!error.empty() && error_of(trial_values(info, {})).empty()) {
    fail_input("--set: {} refuses these values together: {}", named(info), error);
  }
}

}  // namespace

GivenValue parse_given(const std::string& text) {
  const size_t equals = text.find('=');
  const std::vector<std::string> keys = equals == std::string::npos
                                            ? std::vector<std::string>{}
                                            : parse_toml_key(text.substr(0, equals));
  if (keys.empty() || keys.size() > 2) {
    fail_input("--set {}: expected PARAMETER=VALUE or COMPONENT.PARAMETER=VALUE", text);
  }
  const std::string word = text.substr(equals + 1);
  Value value = word;
  if (const auto node = parse_toml_value(word, {"--set " + text, 0, 0})) {
    if (const auto parsed = to_value(*node)) {
      value = *parsed;
    }
  }
  return {text, keys.size() == 2 ? keys[0] : "", keys.back(), value};
}

void require_taken(const std::vector<GivenValue>& given, const Components& components) {
  for (const GivenValue& one : given) {
    bool taken = false;
    for (const auto& component : components) {
      for (const ParameterSpec& spec : component->info.parameters) {
        if (is_for(one, component->info) && spec.name == one.parameter) {
          accepted_value(one, component->info, spec);
          taken = true;
        }
      }
    }
    if (!taken) {
      fail_unknown(one, components);
    }
  }
  for (const auto& component : components) {
    require_rules(component->info, given);
  }
}

TrialValues trial_values(const ComponentInfo& info, const std::vector<GivenValue>& given) {
  TrialValues trial{defaults(info.parameters), {}, ""};
  for (const GivenValue& one : given) {
    for (const ParameterSpec& spec : info.parameters) {
      if (is_for(one, info) && spec.name == one.parameter) {
        trial.values[spec.name] = accepted_value(one, info, spec);
        trial.given.insert(spec.name);
      }
    }
  }
  for (const ParameterSpec& spec : info.parameters) {
    Value& value = trial.values[spec.name];
    if (spec.required && type_of(value) == ValueType::none) {
      value = usual_value(spec);
      if (type_of(value) == ValueType::none) {
        trial.missing = spec.name;
        return trial;
      }
    }
  }
  return trial;
}

}  // namespace bissl::host
