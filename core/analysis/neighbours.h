#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace bissl::host {

/// How near two rows are.
enum class Nearness {
  product,    ///< their inner product; the cosine of rows of length 1
  euclidean,  ///< −‖a − b‖²
};

/// (nearness, place in the bank)
using Neighbour = std::pair<float, int64_t>;

struct NeighbourSearch {
  int64_t k = 1;
  Nearness nearness = Nearness::product;
  bool leave_out_self = false;  ///< queries are the bank: no row is its own neighbour
};

/// The k nearest rows of the bank (N, D) for each row of the queries (B, D), nearest first; both
/// float and on one device. Fewer where the bank has fewer. The search is exact and works through
/// both in blocks: it holds query_rows · bank_rows numbers and B · k neighbours. Among
/// equally near rows the one that comes first in the bank is nearer.
std::vector<std::vector<Neighbour>> nearest_rows(const at::Tensor& bank, const at::Tensor& queries,
                                                 const NeighbourSearch& search);

/// The bytes of the largest matrix that a search for this many queries in a bank of `bank` rows
/// holds.
double nearness_bytes(int64_t bank, int64_t queries);

inline constexpr int64_t bank_rows = 8192;
inline constexpr int64_t query_rows = 1024;

}  // namespace bissl::host
