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

/// The code of a problem that is about one component, whose name another library has: it is left
/// out, and the rest of its library is taken.
inline constexpr const char* name_taken = "name_taken";

/// Takes what one library registers and keeps it apart until all of it is known to be sound.
class Collector final : public Registrar {
 public:
  Collector(LibraryIdentity library, FindComponent find_registered);

  using Registrar::add;
  /// Throws Error for a name that the library used before and for a faulty declaration, as
  /// Registrar promises. The library is then refused even if it swallows the exception. A component
  /// whose name another library has is left out.
  void add(ComponentInfo info) override;

  /// Calls the library's registration function and gives what it registered, at least one
  /// component. Throws a Refusal of step "register" with code "bad_declaration",
  /// "duplicate_component", "register_failed" or "no_components", of several causes the first; the
  /// last also where all components are left out.
  std::vector<std::shared_ptr<const RegisteredComponent>> collect(
      BisslRegisterFunction register_components);

  /// A problem of code "name_taken" for each component that is left out, without the path.
  const std::vector<LoadProblem>& left_out() const { return left_out_; }

 private:
  void check_declaration(const ComponentInfo& info);
  void check_name_is_new(const ComponentInfo& info);
  /// Whether another library has the name, which is then reported.
  bool is_left_out(const ComponentInfo& info);
  [[noreturn]] void refuse(LoadProblem problem);

  LibraryIdentity library_;
  FindComponent find_registered_;
  std::vector<std::shared_ptr<const RegisteredComponent>> collected_;
  std::vector<LoadProblem> left_out_;
  std::optional<LoadProblem> first_problem_;
};

}  // namespace bissl::host
