#pragma once

#include "bissl/tensor_list.h"

#include <nlohmann/json.hpp>

#include <string>

namespace bissl::host {

/// How the numbers of a tensor are spread, for an event: min, max, num, sum, squares (the sum of
/// the squares), and counts of 30 buckets of equal width from min to max with their right ends,
/// limits. One bucket where all numbers are equal. Null for a tensor without numbers or with one
/// that is not finite.
nlohmann::json histogram_of(const at::Tensor& tensor);

/// Adds the histograms of a network's parameters to `all`, under "weights/NETWORK.NAME", and, where
/// they have one, of their gradients under "gradients/NETWORK.NAME"; without those that are null.
void add_histograms(const std::string& network, const NamedTensors& parameters,
                    nlohmann::json& all);

}  // namespace bissl::host
