#pragma once

#include "support/paths.h"
#include "support/temporary_folder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace bissl::host::test {

/// A file of tests/reference/golden.
inline nlohmann::json golden(const std::string& name) {
  return nlohmann::json::parse(
      read_file(std::string(source_folder) + "/tests/reference/golden/" + name));
}

/// The numbers that tests/reference/training.py calls pattern(k, shape): double, in [-0.5, 0.5).
inline at::Tensor pattern(int64_t k, at::IntArrayRef shape) {
  constexpr int64_t modulus = 2003;
  const at::Tensor i = at::arange(c10::multiply_integers(shape), at::kLong);
  const at::Tensor whole = (i * i * 31 + i * 7919 + k * 104729).remainder(modulus);
  return (whole.to(at::kDouble) / static_cast<double>(modulus) - 0.5).reshape(shape);
}

/// Whether a tensor holds these numbers in row-major order, up to `tolerance`.
inline testing::AssertionResult close(const at::Tensor& tensor, const nlohmann::json& expected,
                                      double tolerance) {
  auto numbers = expected.get<std::vector<double>>();
  if (tensor.numel() != static_cast<int64_t>(numbers.size())) {
    return testing::AssertionFailure()
           << tensor.numel() << " numbers, " << numbers.size() << " expected";
  }
  const at::Tensor flat = tensor.detach().to(at::kDouble).contiguous();
  for (size_t i = 0; i < numbers.size(); ++i) {
    const double found = flat.data_ptr<double>()[i];
    // Written so that NaN fails.
    if (!(std::abs(found - numbers[i]) <= tolerance)) {
      return testing::AssertionFailure()
             << "number " << i << " is " << found << ", expected " << numbers[i];
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace bissl::host::test
