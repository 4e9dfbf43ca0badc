#include "conformance/conform.h"

#include "bissl/error.h"
#include "conformance/checker.h"
#include "pipeline/toml_parser.h"
#include "plugins/child_process.h"
#include "plugins/elf.h"
#include "plugins/load_report_json.h"
#include "plugins/registry.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

namespace bissl {
namespace {

/// A value for a parameter, for one component or (with an empty name) for all that have it.
struct GivenValue {
  std::string component;
  std::string parameter;
  Value value;
};

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
  return {keys.size() == 2 ? keys[0] : "", keys.back(), value};
}

/// The defaults, what was given, and for required parameters something within their bounds.
/// Returns the name of a parameter for which there is nothing, or an empty text.
std::string fill_values(const ComponentInfo& info, const std::vector<GivenValue>& given,
                        ParameterValues& values) {
  values = defaults(info.parameters);
  for (const GivenValue& one : given) {
    if (!one.component.empty() && one.component != info.text.name) {
      continue;
    }
    for (const ParameterSpec& spec : info.parameters) {
      if (spec.name == one.parameter) {
        Value value = one.value;
        if (!convert(value, spec.type) || !spec.refusal(value).empty()) {
          fail_input("--set {}: {} wants {}", one.parameter, info.text.name, spec.accepted());
        }
        values[spec.name] = value;
      }
    }
  }
  constexpr double usual = 0.01;  // most required numbers are learning rates
  for (const ParameterSpec& spec : info.parameters) {
    if (!spec.required || type_of(values[spec.name]) != ValueType::none) {
      continue;
    }
    Value value;
    if (spec.type == ValueType::real) {
      value = std::clamp(usual, spec.minimum, spec.maximum);
    } else if (spec.type == ValueType::integer) {
      value = static_cast<int64_t>(std::clamp(8.0, spec.minimum, spec.maximum));
    } else if (spec.type == ValueType::boolean) {
      value = false;
    } else if (spec.type == ValueType::text && !spec.choices.empty()) {
      value = spec.choices.front();
    }
    if (type_of(value) == ValueType::none || !spec.refusal(value).empty()) {
      return spec.name;
    }
    values[spec.name] = value;
  }
  return "";
}

void check_kind(Checker& checker) {
  switch (checker.choice().component->info.kind) {
    case ComponentKind::dataset:
      return check_dataset(checker);
    case ComponentKind::augmentation:
      return check_augmentation(checker);
    case ComponentKind::backbone:
      return check_backbone(checker);
    case ComponentKind::pretext:
      return check_pretext(checker);
    case ComponentKind::downstream:
      return check_downstream(checker);
    case ComponentKind::hypergradient:
      return check_hypergradient(checker);
    case ComponentKind::optimizer:
      return check_optimizer(checker);
  }
}

// The child sends objects, a line each: {"component": number, "kind": …, "name": …} when it turns
// to a component, {"begin": check} before a check, {"result": …} after it, {"done": true} at the
// end.

class Child {
 public:
  Child(const std::filesystem::path& library, const std::vector<GivenValue>& given,
        const std::vector<std::string>& fixed_targets, size_t first, const SendLine& send)
      : library_(library),
        given_(given),
        fixed_targets_(fixed_targets),
        first_(first),
        send_(send) {}

  void run() {
    Registry registry;
    tell({{"begin", loads}});
    // Trusted: this process is the trial.
    const bool loaded = registry.load_library(library_, /*trusted=*/true);
    if (first_ == 0) {
      report_loading(registry, loaded);
    }
    const auto components = registry.components();
    for (size_t i = first_; i < components.size(); ++i) {
      const ComponentInfo& info = components[i]->info;
      tell({{"component", i}, {"kind", to_string(info.kind)}, {"name", info.text.name}});
      check(components[i]);
    }
    tell({{"done", true}});
  }

  static constexpr const char* loads = "loads: file, stamp, entry, registration";

 private:
  void tell(const nlohmann::json& line) const { send_(dump(line, -1)); }

  void report_loading(const Registry& registry, bool loaded) const {
    CheckResult result{
        .kind = "", .component = "", .check = loads, .status = CheckStatus::passed, .detail = ""};
    for (const LoadProblem& problem : registry.report().problems) {
      result.status = CheckStatus::failed;
      result.detail = problem.message();
      tell({{"result", result}});
    }
    if (loaded) {
      tell({{"result", result}});
      report_exports();
    }
  }

  void report_exports() const {
    CheckResult result{.kind = "",
                       .component = "",
                       .check = "exports its entry and nothing else",
                       .status = CheckStatus::passed,
                       .detail = ""};
    std::vector<std::string> others = exported_symbols(library_);
    others.erase(std::remove(others.begin(), others.end(), BISSL_ENTRY_SYMBOL), others.end());
    if (!others.empty()) {
      result.status = CheckStatus::failed;
      result.detail =
          fmt::format("{} more, such as {}; build it with bissl_add_plugin, which hides them",
                      others.size(), others.front());
    }
    tell({{"result", result}});
  }

  void check(const std::shared_ptr<const Component>& component) const {
    ComponentChoice choice{component, {}, "bissl conform"};
    const std::string missing = fill_values(component->info, given_, choice.values);
    Checker checker(choice, {.begin =
                                 [this](const std::string& check) {
                                   tell({{"begin", check}});
                                 },
                             .end =
                                 [this](const CheckResult& result) {
                                   tell({{"result", result}});
                                 }});
    if (!missing.empty()) {
      checker.skip("all checks of instances",
                   fmt::format("parameter {} has no default: give one with --set {}.{}=VALUE",
                               missing, component->info.text.name, missing));
      return;
    }
    if (std::find(fixed_targets_.begin(), fixed_targets_.end(), component->info.text.name) !=
        fixed_targets_.end()) {
      checker.hold_targets_fixed();
    }
    check_declaration(checker);
    check_kind(checker);
  }

  const std::filesystem::path& library_;
  const std::vector<GivenValue>& given_;
  const std::vector<std::string>& fixed_targets_;
  size_t first_;
  const SendLine& send_;
};

/// What a child's lines say.
struct Told {
  std::vector<CheckResult> results;
  size_t component = 0;  ///< at which it was
  std::string kind;
  std::string name;
  std::string check = "starting";  ///< under way at the end
  bool done = false;
};

Told parse_lines(const std::string& answer) {
  Told told;
  size_t begin = 0;
  for (size_t end = answer.find('\n'); end != std::string::npos; end = answer.find('\n', begin)) {
    const auto line = nlohmann::json::parse(answer.substr(begin, end - begin), nullptr, false);
    begin = end + 1;
    if (line.contains("component")) {
      told.component = line["component"];
      told.kind = line["kind"];
      told.name = line["name"];
    } else if (line.contains("begin")) {
      told.check = line["begin"];
    } else if (line.contains("result")) {
      told.results.push_back(line["result"].get<CheckResult>());
    } else if (line.contains("done")) {
      told.done = true;
    }
  }
  return told;
}

std::string how_it_ended(const ChildOutcome& outcome, std::chrono::milliseconds limit) {
  const std::string words = quoted_words(outcome.words);
  if (!outcome.not_started.empty()) {
    return outcome.not_started;
  }
  if (outcome.hung) {
    return fmt::format("not done within {} s{}", double(limit.count()) / 1000.0, words);
  }
  if (outcome.status && WIFSIGNALED(*outcome.status)) {
    const int signal = WTERMSIG(*outcome.status);
    const char* name = sigdescr_np(signal);
    return fmt::format("crashed: signal {} ({}){}", signal, name != nullptr ? name : "unknown",
                       words);
  }
  return fmt::format("the process ended with status {}{}",
                     outcome.status ? WEXITSTATUS(*outcome.status) : -1, words);
}

/// Refuses names in --fixed-targets that are no pretext task of the library.
void require_pretext_tasks(const std::vector<std::string>& names, const ConformanceReport& report) {
  std::vector<std::string> tasks;
  for (const CheckResult& result : report.results) {
    if (result.kind == to_string(ComponentKind::pretext) &&
        std::find(tasks.begin(), tasks.end(), result.component) == tasks.end()) {
      tasks.push_back(result.component);
    }
  }
  for (const std::string& name : names) {
    if (std::find(tasks.begin(), tasks.end(), name) == tasks.end()) {
      fail_input("--fixed-targets {}: {} has no pretext task of that name; it has {}", name,
                 report.path, tasks.empty() ? "none" : fmt::format("{}", fmt::join(tasks, ", ")));
    }
  }
}

}  // namespace

ConformanceReport conform(const std::filesystem::path& library, const ConformanceOptions& options) {
  std::vector<GivenValue> given;
  for (const std::string& text : options.values) {
    given.push_back(parse_given(text));
  }
  ConformanceReport report{.path = library.string(), .results = {}};
  for (size_t first = 0;;) {
    const ChildOutcome outcome = run_in_child(options.limit, [&](const SendLine& send) {
      Child(library, given, options.fixed_targets, first, send).run();
    });
    const Told told = parse_lines(outcome.answer);
    report.results.insert(report.results.end(), told.results.begin(), told.results.end());
    if (told.done) {
      require_pretext_tasks(options.fixed_targets, report);
      return report;
    }
    report.results.push_back({.kind = told.kind,
                              .component = told.name,
                              .check = told.check,
                              .status = CheckStatus::failed,
                              .detail = how_it_ended(outcome, options.limit)});
    if (told.name.empty() || outcome.hung) {
      return report;
    }
    first = told.component + 1;
  }
}

}  // namespace bissl
