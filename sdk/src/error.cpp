#include "bissl/error.h"

namespace bissl {

Error::Error(ErrorKind kind, const std::string& message)
    : std::runtime_error(message), kind_(kind) {}

Error::~Error() = default;

Error Error::at(const std::string& place) const {
  return Error(kind_, fmt::format("{}: {}", place, what()));
}

}  // namespace bissl
