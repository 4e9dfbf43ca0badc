#include "models/vector_check.h"

#include "bissl/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bissl::host {

void require_like(const char* what, const TensorList& given, const TensorList& like) {
  if (given.size() != like.size()) {
    fail_run("{} has {} tensors; expected {}, one for each parameter of the backbone", what,
             given.size(), like.size());
  }
  for (size_t i = 0; i < like.size(); ++i) {
    const bool defined = given[i].defined();
    if (!defined || given[i].sizes() != like[i].sizes()) {
      fail_run("tensor {} of {} {}; expected one of shape [{}], that of its parameter", i, what,
               defined ? fmt::format("has shape [{}]", fmt::join(given[i].sizes(), ", "))
                       : std::string("is undefined"),
               fmt::join(like[i].sizes(), ", "));
    }
  }
}

}  // namespace bissl::host
