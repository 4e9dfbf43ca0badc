#pragma once

#include "base/difference.h"
#include "store/run_results.h"
#include "store/sweep_plan.h"

#include <optional>
#include <string>

namespace bissl::host {

/// The first difference of two plans that makes them those of different ablations: other than in
/// their names, cells, and the values of their seeds.
std::optional<Difference> plan_difference(const SweepPlan& first, const SweepPlan& other);

/// The first difference of two pipelines that makes them other than repetitions of one, on other
/// machines maybe: other than in seeds, paths from the root, versions of libraries and folders of
/// plugins. Both are texts of pipeline.lock.toml. Throws Error(input) for what is none.
std::optional<Difference> pipeline_difference(const std::string& first, const std::string& other);

/// A metric in which two results differ, or that one of them lacks.
std::optional<std::string> metric_difference(const RunResults& first, const RunResults& other);

}  // namespace bissl::host
