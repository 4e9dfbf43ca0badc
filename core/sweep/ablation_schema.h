#pragma once

#include <nlohmann/json_fwd.hpp>

namespace bissl::host {

/// A JSON Schema (draft 7) of ablation files, from ablation_spec(). Which keys the pipeline has,
/// and what they accept, it does not know: `bissl sweep --check` does.
nlohmann::json ablation_json_schema();

}  // namespace bissl::host
