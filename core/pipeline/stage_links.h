#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace bissl::host {

// What stages depend on, as numbers: links[i] are those that stage i needs before it.

inline constexpr size_t no_stage = std::numeric_limits<size_t>::max();

/// `links[i]` is the one stage that stage i depends on, or no_stage. Returns every circle, each
/// beginning with its first stage of the file, and cuts it by taking that stage's link away.
std::vector<std::vector<size_t>> cut_circles(std::vector<size_t>& links);

/// Whether the links lead from one stage to another, or the two are one.
bool links_reach(const std::vector<std::vector<size_t>>& links, size_t from, size_t to);

/// All stages, each behind those that it depends on, otherwise in their order. No circles. Calls
/// itself as deep as there are stages in a row.
std::vector<size_t> in_dependency_order(const std::vector<std::vector<size_t>>& links);

/// Links of stages that each depend on one other, or on no_stage.
std::vector<std::vector<size_t>> lists_of_links(const std::vector<size_t>& links);

}  // namespace bissl::host
