#pragma once

#include "bissl/component.h"
#include "plugins/component.h"

#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

namespace bissl::host {

// Guards: instances of components as the host holds them. A guard has the interface of its
// component and calls it through call_component, so that whatever it throws names component,
// library, TOML position and method. All kinds are guarded by these templates; the folder that uses
// a kind derives its guard from Guarded and makes it with make_guard.

/// What guards of abilities have in common: the ability of the component, and where that comes
/// from. A guard derives from it and overrides the methods of `AbilityOf` with calls of call().
template <class AbilityOf>
class GuardedAbility : public AbilityOf {
 public:
  using Ability = AbilityOf;

  /// All must outlive it. `inner` is an ability of `component`.
  GuardedAbility(const ComponentChoice& choice, Ability& inner, Component& component)
      : choice_(choice), inner_(inner), component_(component) {}

 protected:
  template <class Function>
  decltype(auto) call(const char* method, Function&& function) const {
    return call_component(choice_, method, [&]() -> decltype(auto) { return function(inner_); });
  }
  /// That has the ability, without its guard.
  Component& component() const { return component_; }

 private:
  const ComponentChoice& choice_;
  Ability& inner_;
  Component& component_;
};

/// The abilities of a component: those that have a guard among `Guards` by that guard, all others,
/// which the host does not know, as they are.
template <class... Guards>
class GuardedAbilities {
 public:
  GuardedAbilities(const ComponentChoice& choice, Component& inner)
      : choice_(choice), inner_(inner) {
    (make<Guards>(), ...);
  }

  /// For Component::capability.
  void* find(std::string_view id) {
    void* found = nullptr;
    const bool known =
        ((id == Guards::Ability::id ? (found = guard<Guards>(), true) : false) || ...);
    return known ? found : ask(id);
  }

 private:
  void* ask(std::string_view id) const {
    return call_component(choice_, "capability", [&] { return inner_.capability(id); });
  }
  template <class One>
  void make() {
    using Ability = typename One::Ability;
    if (auto* ability = static_cast<Ability*>(ask(Ability::id))) {
      std::get<std::optional<One>>(guards_).emplace(choice_, *ability, inner_);
    }
  }
  template <class One>
  void* guard() {
    auto& held = std::get<std::optional<One>>(guards_);
    return held ? static_cast<typename One::Ability*>(&*held) : nullptr;
  }

  const ComponentChoice& choice_;
  Component& inner_;
  std::tuple<std::optional<Guards>...> guards_;
};

/// Where the component behind a guard comes from, whatever its kind.
class Guard {
 public:
  virtual const ComponentChoice& choice() const = 0;

 protected:
  ~Guard() = default;
};

/// What all guards have: the instance, where it comes from, and its abilities by `AbilityGuards`.
template <class Interface, class... AbilityGuards>
class Guarded : public Interface, public Guard {
 public:
  Guarded(ComponentChoice choice, std::shared_ptr<Interface> inner)
      : choice_(std::move(choice)), inner_(std::move(inner)), abilities_(choice_, *inner_) {}

  void* capability(std::string_view id) override { return abilities_.find(id); }

  const ComponentChoice& choice() const override { return choice_; }

 protected:
  template <class Function>
  decltype(auto) call(const char* method, Function&& function) const {
    return call_component(choice_, method, [&]() -> decltype(auto) { return function(*inner_); });
  }

 private:
  ComponentChoice choice_;
  std::shared_ptr<Interface> inner_;
  GuardedAbilities<AbilityGuards...> abilities_;
};

/// A new instance of the component, held by a guard of type `Made`, whose constructor gets the
/// choice, the instance and `more`.
template <class Made, class Interface, class... More>
std::shared_ptr<Made> make_guard(const ComponentChoice& choice,
                                 const typename KindOf<Interface>::Context& context,
                                 More&&... more) {
  return std::make_shared<Made>(choice, choice.create<Interface>(context),
                                std::forward<More>(more)...);
}

}  // namespace bissl::host
