#include "cli/solve_advice.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>

namespace bissl::host {

std::string solve_advice(const std::string& stage, const nlohmann::json& solves) {
  int64_t all = 0;
  for (const auto& [state, count] : solves.at("ended").items()) {
    all += count.get<int64_t>();
  }
  const int64_t negative = solves.at("ended").value("negative_curvature", int64_t{0});
  if (negative == 0 || negative * 10 < all) {
    return "";
  }
  return fmt::format(
      "{}: {} of {} solves met negative curvature and stopped there, which is before their last "
      "iteration. hypergradient.use = \"minres\" is made for indefinite operators; a larger "
      "damping "
      "makes the operator positive definite\n",
      stage, negative, all);
}

}  // namespace bissl::host
