#pragma once

#include "plugins/component.h"
#include "plugins/load_report.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Finds a component that is already registered, or null.
using FindComponent = std::function<std::shared_ptr<const RegisteredComponent>(
    ComponentKind, const std::string& name)>;

/// Takes what one library registers and keeps it apart until all of it is known to be sound.
class Collector final : public Registrar {
 public:
  Collector(LibraryIdentity library, FindComponent find_registered);

  using Registrar::add;
  /// Throws Error for a name that is taken and for a faulty declaration, as Registrar promises.
  /// The library is then refused even if it swallows the exception.
  void add(ComponentInfo info) override;

  /// Calls the library's registration function and gives what it registered, at least one
  /// component. Throws a Refusal of step "register" with code "bad_declaration",
  /// "duplicate_component", "register_failed" or "no_components"; of several causes the first.
  std::vector<std::shared_ptr<const RegisteredComponent>> collect(
      BisslRegisterFunction register_components);

 private:
  void check_declaration(const ComponentInfo& info);
  void check_name_is_free(const ComponentInfo& info);
  [[noreturn]] void refuse(LoadProblem problem);

  LibraryIdentity library_;
  FindComponent find_registered_;
  std::vector<std::shared_ptr<const RegisteredComponent>> collected_;
  std::optional<LoadProblem> first_problem_;
};

}  // namespace bissl::host
