#pragma once

#include <cstdint>
#include <vector>

namespace bissl {

/// `count` orders of `length` things that differ in as many places as can be had: each is the one
/// of the largest Hamming distance to those before it, the first of them in lexicographic order.
/// The first is the identity. `length` is 4 or 9; `count` is at most its factorial.
std::vector<std::vector<int64_t>> distant_permutations(int64_t length, int64_t count);

}  // namespace bissl
