#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace bissl::host {

/// A line of advice, with its newline, for a bissl stage in which a tenth of the solves or more
/// ended at negative curvature: conjugate gradient is not made for that. Empty otherwise. `solves`
/// is that part of the stage's results.
std::string solve_advice(const std::string& stage, const nlohmann::json& solves);

}  // namespace bissl::host
