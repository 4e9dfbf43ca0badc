#pragma once

#include "bissl/plugin.h"
#include "conformance/report.h"
#include "plugins/component.h"

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

class TaskBackbone;

/// A promise that a component does not keep; the text says what was found.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A promise that says nothing about this component; the text says why. The check is skipped.
class NotApplicable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws a Violation unless `kept`.
template <class... Arguments>
void require(bool kept, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  if (!kept) {
    throw Violation(fmt::format(format, std::forward<Arguments>(arguments)...));
  }
}

/// The checks of a component of this kind, by name, in the order in which they are made. What is
/// left out because of an earlier check is reported as skipped.
std::vector<std::string> names_of_checks(ComponentKind kind);

/// Calls `work` in four threads at once, each with its number. It returns what it found wrong, or
/// an empty text; the first such text, or exception, is thrown as a Violation.
void require_in_threads(const std::function<std::string(size_t thread)>& work);

/// Makes the checks of one component and hands on what becomes of each.
class Checker {
 public:
  /// Told before a check what it is, so that a crash has a name, and after it how it ended.
  struct Listener {
    std::function<void(const std::string& check)> begin;
    std::function<void(const CheckResult& result)> end;
  };

  /// `given`: the parameters whose values the user chose.
  Checker(ComponentChoice choice, std::set<std::string> given, Listener listener)
      : choice_(std::move(choice)), given_(std::move(given)), listener_(std::move(listener)) {}

  /// Runs `body`; whatever it throws but NotApplicable is a failure, and so is a change of what the
  /// process has in common. Returns whether it passed, since what follows may rest on it.
  bool check(const std::string& name, const std::function<void()>& body);

  void skip(const std::string& name, const std::string& reason);

  /// Reports that nothing of the component can be tried.
  void leave_untested(const std::string& reason);

  /// Reports the checks of the component's kind that were not reached as skipped.
  void skip_the_rest();

  /// Whether a check of the component has failed so far.
  bool failed() const { return !first_failure_.empty(); }

  /// A new instance with the values under test.
  template <class Interface>
  std::shared_ptr<Interface> make(const typename KindOf<Interface>::Context& context = {}) const {
    return choice_.create<Interface>(context);
  }

  /// The backbone that a task is tried with.
  void use_backbone(std::shared_ptr<const TaskBackbone> backbone) {
    backbone_ = std::move(backbone);
  }
  const TaskBackbone& task_backbone() const { return *backbone_; }

  const ComponentChoice& choice() const { return choice_; }
  const std::set<std::string>& given() const { return given_; }

 private:
  void report(const std::string& name, CheckStatus status, const std::string& detail);

  ComponentChoice choice_;
  std::set<std::string> given_;
  std::shared_ptr<const TaskBackbone> backbone_;
  Listener listener_;
  std::set<std::string> reported_;
  std::string first_failure_;
};

// The checks of each kind. They call the component in this process.
void check_declaration(Checker& checker);
void check_dataset(Checker& checker);
void check_augmentation(Checker& checker);
void check_transform(Checker& checker);
void check_backbone(Checker& checker);
void check_pretext(Checker& checker);
void check_downstream(Checker& checker);
void check_hypergradient(Checker& checker);
void check_optimizer(Checker& checker);

}  // namespace bissl::host
