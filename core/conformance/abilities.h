#pragma once

#include "conformance/checker.h"

namespace bissl::host {

/// What the check of abilities is called.
inline constexpr const char* abilities_are_found = "abilities are found by their identifiers";

/// The check that capability() gives each ability that the sdk knows as the interface that its
/// identifier names, and nothing for others. Returns whether the component may be asked: where
/// this fails, a call of an ability would reach another function than it names.
bool check_abilities(Checker& checker);

}  // namespace bissl::host
