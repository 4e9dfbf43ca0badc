#pragma once

#include <string>

namespace bissl::host {

/// What an exception of LibTorch says, without its trace of addresses, and for the errors that a
/// mistake in a component usually causes, what that mistake is and how to correct it.
std::string with_advice(const std::string& message);

/// The refusal of a task that needs an ability of the backbone, and how to try it with another one.
std::string advice_to_name_a_backbone(const std::string& refusal);

}  // namespace bissl::host
