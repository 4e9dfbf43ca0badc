#pragma once

#include "bissl/error.h"

namespace bissl::host {

/// A loss or a gradient of training that is not finite.
class Diverged : public Error {
 public:
  explicit Diverged(const std::string& message) : Error(ErrorKind::run, message) {}
};

}  // namespace bissl::host
