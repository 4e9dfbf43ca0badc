#include "conformance/conform.h"

#include "bissl/error.h"
#include "conformance/abilities.h"
#include "conformance/checker.h"
#include "conformance/downstream_trial.h"
#include "conformance/given_values.h"
#include "conformance/pretext_trial.h"
#include "conformance/task_backbone.h"
#include "plugins/child_process.h"
#include "plugins/elf.h"
#include "plugins/load_report_json.h"
#include "plugins/registry.h"
#include "plugins/search.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace bissl::host {
namespace {

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
    case ComponentKind::transform:
      return check_transform(checker);
  }
}

/// Whether the user wants a component of this name tried.
bool is_chosen(const ConformanceOptions& options, const std::string& name) {
  const std::vector<std::string>& names = options.components;
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

// The child sends objects, a line each: {"components": [{"kind": …, "name": …}, …]} when the
// library is loaded, or {"refused": why} when its values are no such; {"component": number} when it
// turns to one, {"begin": check} before a check, {"result": …} after it, {"done": true} at the end.

class Child {
 public:
  Child(const std::filesystem::path& library, const ConformanceOptions& options,
        const std::vector<GivenValue>& given, size_t first, const SendLine& send)
      : library_(library), options_(options), given_(given), first_(first), send_(send) {}

  void run() {
    Registry registry;
    tell({{"begin", loads}});
    // Trusted: this process is the trial.
    const bool loaded = registry.load_library(library_, /*trusted=*/true);
    const auto components = registry.components();
    const LoadReport report = registry.report();
    try {
      if (loaded) {
        require_chosen(components);
        choose_backbone(registry, components);
      }
    } catch (const Error& error) {
      tell({{"refused", error.what()}});
      return;
    }
    if (first_ == 0) {
      begin(report, components, loaded);
    }
    for (size_t i = first_; i < components.size(); ++i) {
      if (is_chosen(options_, components[i]->info.text.name)) {
        tell({{"component", i}});
        check(components[i]);
      }
    }
    tell({{"done", true}});
  }

  static constexpr const char* loads = "loads: file, stamp, entry, registration";

 private:
  void tell(const nlohmann::json& line) const { send_(dump(line, -1)); }

  using Components = std::vector<std::shared_ptr<const RegisteredComponent>>;

  /// Refuses names of components that the library does not have.
  void require_chosen(const Components& components) const {
    for (const std::string& name : options_.components) {
      std::vector<std::string> names;
      for (const auto& component : components) {
        names.push_back(component->info.text.name);
      }
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        fail_input("--component {}: {} has no component of that name; there are {}", name,
                   library_.string(), fmt::join(names, ", "));
      }
    }
  }

  /// Finds the backbone for tasks and judges the values that were given.
  void choose_backbone(Registry& registry, Components components) {
    backbone_ = std::make_shared<TaskBackbone>();
    if (options_.backbone.empty()) {
      return require_taken(given_, components);
    }
    const bool needed = std::any_of(components.begin(), components.end(), [](const auto& one) {
      return one->info.kind == ComponentKind::pretext ||
             one->info.kind == ComponentKind::downstream;
    });
    if (!needed) {
      fail_input("--backbone {}: {} has no task to try with it", options_.backbone,
                 library_.string());
    }
    const auto found = find_backbone(registry);
    if (std::find(components.begin(), components.end(), found) == components.end()) {
      components.push_back(found);
    }
    require_taken(given_, components);
    TrialValues trial = trial_values(found->info, given_);
    if (!trial.missing.empty()) {
      fail_input("--backbone {}: its parameter {} has no default; give --set {}.{}=VALUE",
                 options_.backbone, trial.missing, found->info.text.name, trial.missing);
    }
    backbone_ = std::make_shared<TaskBackbone>(
        ComponentChoice{found, std::move(trial.values), "bissl conform --backbone"});
  }

  /// Of the library itself, or of those that the program finds.
  std::shared_ptr<const RegisteredComponent> find_backbone(Registry& registry) const {
    const auto find = [&] { return registry.find(ComponentKind::backbone, options_.backbone); };
    if (auto own = find()) {
      return own;
    }
    PluginSearch search(registry, options_.plugin_paths, options_.third_party);
    search.begin();
    search.finish();
    if (auto other = find()) {
      return other;
    }
    std::vector<std::string> names;
    for (const auto& component : registry.components()) {
      if (component->info.kind == ComponentKind::backbone) {
        names.push_back(component->info.text.name);
      }
    }
    fail_input("--backbone {}: there is no backbone of that name; there are {}", options_.backbone,
               fmt::join(names, ", "));
  }

  /// What is reported once for a library.
  void begin(const LoadReport& report, const Components& components, bool loaded) const {
    report_loading(report, loaded);
    nlohmann::json list = nlohmann::json::array();
    for (const auto& component : components) {
      list.push_back(
          {{"kind", to_string(component->info.kind)}, {"name", component->info.text.name}});
    }
    tell({{"components", list}});
  }

  void report_loading(const LoadReport& report, bool loaded) const {
    CheckResult result{
        .kind = "", .component = "", .check = loads, .status = CheckStatus::passed, .detail = ""};
    for (const LoadProblem& problem : report.problems) {
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

  void check(const std::shared_ptr<const RegisteredComponent>& component) const {
    const ComponentInfo& info = component->info;
    TrialValues trial = trial_values(info, given_);
    if (!trial.missing.empty()) {
      tell({{"result", CheckResult{.kind = to_string(info.kind),
                                   .component = info.text.name,
                                   .check = "all checks",
                                   .status = CheckStatus::not_tested,
                                   .detail = fmt::format(
                                       "parameter {} has no default, so no instance can be "
                                       "made: give --set {}.{}=VALUE (in CMake: "
                                       "bissl_add_conformance_test(NAME --set {}.{}=VALUE))",
                                       trial.missing, info.text.name, trial.missing, info.text.name,
                                       trial.missing)}}});
      return;
    }
    Checker checker({component, std::move(trial.values), "bissl conform"}, std::move(trial.given),
                    {.begin =
                         [this](const std::string& check) {
                           tell({{"begin", check}});
                         },
                     .end =
                         [this](const CheckResult& result) {
                           tell({{"result", result}});
                         }});
    checker.use_backbone(backbone_);
    const std::string reason = info.kind == ComponentKind::pretext ? why_not_tried(checker)
                               : info.kind == ComponentKind::downstream
                                   ? why_head_not_tried(checker)
                                   : "";
    if (!reason.empty()) {
      return checker.leave_untested(reason);
    }
    check_declaration(checker);
    if (check_abilities(checker)) {
      check_kind(checker);
    }
    checker.skip_the_rest();
  }

  const std::filesystem::path& library_;
  const ConformanceOptions& options_;
  const std::vector<GivenValue>& given_;
  size_t first_;
  const SendLine& send_;
  std::shared_ptr<const TaskBackbone> backbone_;
};

/// What a child's lines say.
struct Told {
  std::vector<CheckResult> results;
  std::vector<std::pair<std::string, std::string>> components;  ///< kind and name
  std::optional<size_t> component;                              ///< at which it was
  std::string check = "starting";                               ///< under way at the end
  std::optional<std::string> refused;                           ///< why the given values are wrong
  bool done = false;
};

Told parse_lines(const std::string& answer) {
  Told told;
  size_t begin = 0;
  for (size_t end = answer.find('\n'); end != std::string::npos; end = answer.find('\n', begin)) {
    const auto line = nlohmann::json::parse(answer.substr(begin, end - begin), nullptr, false);
    begin = end + 1;
    if (line.contains("components")) {
      for (const auto& one : line["components"]) {
        told.components.emplace_back(one["kind"], one["name"]);
      }
    } else if (line.contains("component")) {
      told.component = line["component"];
      told.check = "starting";
    } else if (line.contains("begin")) {
      told.check = line["begin"];
    } else if (line.contains("result")) {
      told.results.push_back(line["result"].get<CheckResult>());
    } else if (line.contains("refused")) {
      told.refused = line["refused"].get<std::string>();
    } else if (line.contains("done")) {
      told.done = true;
    }
  }
  return told;
}

double seconds(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

std::string how_it_ended(const ChildOutcome& outcome, const ConformanceOptions& options) {
  const std::string words = quoted_words(outcome.words);
  if (!outcome.not_started.empty()) {
    return outcome.not_started;
  }
  if (outcome.silent) {
    return fmt::format("not done within {} s, the time for a check (--check-limit){}",
                       seconds(options.check_limit), words);
  }
  if (outcome.hung) {
    return fmt::format("not done within {} s, the time for the whole library (--limit){}",
                       seconds(options.limit), words);
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

/// Makes the children, one after another, and gathers what they report.
class Trial {
 public:
  Trial(const std::filesystem::path& library, const ConformanceOptions& options)
      : library_(library), options_(options), report_{library.string(), {}} {
    for (const std::string& text : options.values) {
      given_.push_back(parse_given(text));
    }
  }

  ConformanceReport run() {
    const auto end = std::chrono::steady_clock::now() + options_.limit;
    for (size_t first = 0;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      const ChildOutcome outcome = run_in_child(
          left, [&](const SendLine& send) { Child(library_, options_, given_, first, send).run(); },
          options_.check_limit);
      const Told told = parse_lines(outcome.answer);
      if (told.refused) {
        fail_input("{}", *told.refused);
      }
      if (first == 0) {
        components_ = told.components;
      }
      report_.results.insert(report_.results.end(), told.results.begin(), told.results.end());
      if (told.done) {
        return report_;
      }
      report_end(told, outcome);
      if (outcome.hung && !outcome.silent) {
        skip_components(told.component ? *told.component + 1 : first);
        return report_;
      }
      if (!told.component) {
        return report_;
      }
      first = *told.component + 1;
    }
  }

 private:
  CheckResult result(size_t component, const std::string& check, CheckStatus status,
                     const std::string& detail) const {
    const auto& [kind, name] = components_.at(component);
    return {.kind = kind, .component = name, .check = check, .status = status, .detail = detail};
  }

  /// Reports the check under way when a child ended early, and those after it.
  void report_end(const Told& told, const ChildOutcome& outcome) {
    const std::string detail = how_it_ended(outcome, options_);
    if (!told.component) {
      report_.results.push_back({"", "", told.check, CheckStatus::failed, detail});
      return;
    }
    const size_t at = *told.component;
    report_.results.push_back(result(at, told.check, CheckStatus::failed, detail));
    for (const std::string& name : names_of_checks(kind_at(at))) {
      const bool reported =
          std::any_of(report_.results.begin(), report_.results.end(), [&](const CheckResult& one) {
            return one.kind == components_[at].first && one.component == components_[at].second &&
                   one.check == name;
          });
      if (!reported) {
        report_.results.push_back(
            result(at, name, CheckStatus::skipped,
                   fmt::format("not tried, since the process ended in \"{}\"", told.check)));
      }
    }
  }

  void skip_components(size_t first) {
    for (size_t i = first; i < components_.size(); ++i) {
      if (!is_chosen(options_, components_[i].second)) {
        continue;
      }
      report_.results.push_back(result(i, "all checks", CheckStatus::skipped,
                                       "not tried, since the time for the whole library is over; "
                                       "give it more with --limit"));
    }
  }

  ComponentKind kind_at(size_t component) const {
    for (const ComponentKind kind :
         {ComponentKind::dataset, ComponentKind::augmentation, ComponentKind::backbone,
          ComponentKind::pretext, ComponentKind::downstream, ComponentKind::hypergradient,
          ComponentKind::transform}) {
      if (to_string(kind) == components_.at(component).first) {
        return kind;
      }
    }
    return ComponentKind::optimizer;
  }

  const std::filesystem::path& library_;
  const ConformanceOptions& options_;
  std::vector<GivenValue> given_;
  std::vector<std::pair<std::string, std::string>> components_;
  ConformanceReport report_;
};
}  // namespace

ConformanceReport conform(const std::filesystem::path& library, const ConformanceOptions& options) {
  return Trial(library, options).run();
}

}  // namespace bissl::host
