#pragma once

#include "bissl/export.h"

#include <string_view>

namespace bissl {

/// What all kinds of component have in common: optional abilities, each an interface of its own
/// that is found by its identifier. An ability that is added later is a new identifier, so no
/// interface of a component ever grows and libraries that are compiled stay loadable.
class BISSL_API Component {
 public:
  Component() = default;
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;
  virtual ~Component();

  /// The ability with this identifier ("bissl.backbone.tokens/1": kind, name and revision), as a
  /// pointer to exactly the interface that the identifier names; null, the default, where there is
  /// none. The same at each call; lives as long as the component. Write it with `provide`, and
  /// call it by bissl::capability.
  virtual void* capability(std::string_view id);
};

/// The ability `Ability` of a component, or null where it has none. Within a component's own
/// methods write bissl::capability: the name alone is Component's.
template <class Ability>
Ability* capability(Component& component) {
  return static_cast<Ability*>(component.capability(Ability::id));
}

/// For implementations of Component::capability: `self` as the one of `Abilities` that `id` names,
/// null if it is none of them.
///
///     void* capability(std::string_view id) override { return provide<Tokens>(*this, id); }
template <class... Abilities, class Self>
void* provide(Self& self, std::string_view id) {
  void* found = nullptr;
  (void)((id == Abilities::id ? (found = static_cast<Abilities*>(&self), true) : false) || ...);
  return found;
}

}  // namespace bissl
