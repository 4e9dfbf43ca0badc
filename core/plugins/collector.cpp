#include "plugins/collector.h"

#include "base/exception_text.h"
#include "bissl/error.h"
#include "plugins/refusal.h"
#include "plugins/stamp.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace bissl::host {
namespace {

bool is_kind(ComponentKind kind) {
  return kind >= ComponentKind::dataset && kind <= ComponentKind::transform;
}

std::vector<std::string> faults_of(const ComponentInfo& info) {
  std::vector<std::string> found;
  if (!is_kind(info.kind)) {
    found.push_back(fmt::format("kind {}: there is no such kind", static_cast<int>(info.kind)));
  }
  if (!is_name(info.text.name)) {
    found.emplace_back("the name is not of lower-case letters, digits and hyphens");
  }
  for (const std::string& former : info.text.formerly) {
    if (!is_name(former) || former == info.text.name) {
      found.push_back(
          fmt::format("the former name \"{}\" is no other name of lower-case letters, "
                      "digits and hyphens",
                      former));
    }
  }
  if (info.text.summary.empty()) {
    found.emplace_back("no summary");
  }
  const bool is_task = info.kind == ComponentKind::downstream;
  if (is_task && info.text.takes.empty()) {
    found.emplace_back(
        "it takes no kind of target; say which, .takes = {bissl::TargetKind::category}");
  }
  if (!is_task && info.kind != ComponentKind::pretext && !info.text.takes.empty()) {
    found.emplace_back("only downstream and pretext tasks take targets");
  }
  if (!info.create) {
    found.emplace_back("no factory");
  }
  const std::vector<std::string> of_parameters = faults(info.parameters);
  found.insert(found.end(), of_parameters.begin(), of_parameters.end());
  for (const ParameterSpec& parameter : info.parameters) {
    if (parameter.names_data()) {
      found.push_back(fmt::format("parameter \"{}\": only tables of the host can name data sources",
                                  parameter.name));
    }
  }
  return found;
}

LoadProblem register_failed(std::string found) {
  return {"",
          "register",
          "register_failed",
          std::move(found),
          "a registration without errors",
          "correct the registration function of the library, or ask its author to"};
}

}  // namespace

Collector::Collector(LibraryIdentity library, FindComponent find_registered)
    : library_(std::move(library)), find_registered_(std::move(find_registered)) {}

void Collector::refuse(LoadProblem problem) {
  const std::string message = problem.message();
  if (!first_problem_) {
    first_problem_ = std::move(problem);
    first_problem_->path.clear();
  }
  throw Error(ErrorKind::input, message);
}

void Collector::check_declaration(const ComponentInfo& info) {
  const std::vector<std::string> found = faults_of(info);
  if (!found.empty()) {
    refuse({library_.path, "register", "bad_declaration",
            fmt::format("{} \"{}\" declared with faults: {}", to_string(info.kind), info.text.name,
                        fmt::join(found, "; ")),
            "a sound declaration", "correct the declaration in the library's sources"});
  }
}

void Collector::check_name_is_new(const ComponentInfo& info) {
  const bool used = std::any_of(collected_.begin(), collected_.end(), [&](const auto& other) {
    return other->info.kind == info.kind && other->info.text.name == info.text.name;
  });
  if (used) {
    refuse({library_.path, "register", "duplicate_component",
            fmt::format("a second {} \"{}\" in the same library", to_string(info.kind),
                        info.text.name),
            "names that are used once for each kind",
            "rename one of the two in the library's sources"});
  }
}

bool Collector::is_left_out(const ComponentInfo& info) {
  const auto first = find_registered_(info.kind, info.text.name);
  if (!first) {
    return false;
  }
  left_out_.push_back({"", "register", name_taken,
                       fmt::format("a second {} \"{}\"; the first is in {}", to_string(info.kind),
                                   info.text.name, first->library.path),
                       "names that are used once for each kind",
                       "rename one of the two, or load only the library whose component you want"});
  return true;
}

void Collector::add(ComponentInfo info) {
  check_declaration(info);
  check_name_is_new(info);
  if (is_left_out(info)) {
    return;
  }
  if (!info.check) {
    info.check = [](const ParameterValues&) { return std::vector<Finding>{}; };
  }
  collected_.push_back(
      std::make_shared<const RegisteredComponent>(RegisteredComponent{std::move(info), library_}));
}

std::vector<std::shared_ptr<const RegisteredComponent>> Collector::collect(
    BisslRegisterFunction register_components) {
  std::array<char, 2048> text{};
  std::optional<std::string> failure;
  try {
    Registrar* const registrar = this;
    const int result = register_components(registrar, text.data(), text.size());
    text.back() = '\0';
    if (result != 0) {
      failure = text.front() == '\0'
                    ? fmt::format("the return value {} and no reason", result)
                    : fmt::format("the error \"{}\"", without_library_dumps(text.data()));
    }
  } catch (const std::exception& exception) {
    failure = fmt::format("an exception that left the library: {}", exception_text(exception));
  } catch (...) {
    failure = "an exception that left the library and is not a std::exception";
  }
  if (first_problem_) {
    throw Refusal(*first_problem_);
  }
  if (failure) {
    throw Refusal(register_failed(*failure));
  }
  if (collected_.empty() && !left_out_.empty()) {
    std::vector<std::string> taken;
    for (const LoadProblem& problem : left_out_) {
      taken.push_back(problem.found);
    }
    throw Refusal({"", "register", "no_components",
                   fmt::format("only names that are taken: {}", fmt::join(taken, "; ")),
                   "at least one component whose name is free",
                   "rename its components, or load only the library whose components you want"});
  }
  if (collected_.empty()) {
    throw Refusal({"", "register", "no_components", "a registration of nothing",
                   "at least one component",
                   "call registrar.add in the body of BISSL_PLUGIN, or take the library away"});
  }
  return std::move(collected_);
}

}  // namespace bissl::host
