#pragma once

#include "bissl/downstream.h"

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace bissl::host::test {

/// Targets of K columns as tests/reference/targets.py writes them: null for what does not count.
inline TargetBatch targets_of(const nlohmann::json& entries, int64_t columns) {
  std::vector<double> values;
  for (const nlohmann::json& entry : entries) {
    values.push_back(entry.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                     : entry.get<double>());
  }
  return {at::tensor(values, at::kDouble).reshape({-1, columns})};
}

/// The metrics by name, of batches of these sizes; the last one takes what is left.
inline std::map<std::string, double> metrics_of(const Downstream& task, const at::Tensor& outputs,
                                                const TargetBatch& targets,
                                                const std::vector<int64_t>& sizes = {}) {
  const auto accumulator = task.metrics();
  int64_t begin = 0;
  const auto add = [&](int64_t size) {
    accumulator->add(outputs.narrow(0, begin, size), {targets.dense.narrow(0, begin, size)});
    begin += size;
  };
  for (const int64_t size : sizes) {
    add(size);
  }
  add(outputs.size(0) - begin);
  const Metrics metrics = accumulator->result();
  EXPECT_EQ(metrics.size(), task.metric_info().size());
  std::map<std::string, double> values;
  for (const auto& [name, value] : metrics) {
    values.emplace(name, value);
  }
  return values;
}

/// Targets of K entries without names that say anything.
inline TargetSpec targets_of_kind(TargetKind kind, int64_t width) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < width; ++i) {
    names.push_back("t" + std::to_string(i));
  }
  return TargetSpec::named(kind, std::move(names));
}

}  // namespace bissl::host::test
