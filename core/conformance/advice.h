#pragma once

#include <string>

namespace bissl::host {

/// What an exception of LibTorch says, without its trace of addresses, and for the errors that a
/// mistake in a component usually causes, what that mistake is and how to mend it.
std::string with_advice(const std::string& message);

}  // namespace bissl::host
