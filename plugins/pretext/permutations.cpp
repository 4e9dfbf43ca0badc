#include "permutations.h"

#include <algorithm>
#include <numeric>

namespace bissl {

std::vector<std::vector<int64_t>> distant_permutations(int64_t length, int64_t count) {
  // All permutations, place after place: column p of the table is at p · rows.
  std::vector<uint8_t> order(static_cast<size_t>(length));
  std::iota(order.begin(), order.end(), uint8_t{0});
  std::vector<std::vector<uint8_t>> columns(order.size());
  do {
    for (size_t place = 0; place < order.size(); ++place) {
      columns[place].push_back(order[place]);
    }
  } while (std::next_permutation(order.begin(), order.end()));
  const size_t rows = columns[0].size();
  std::vector<uint8_t> nearest(rows, 255);  // distance to the closest chosen one
  std::vector<std::vector<int64_t>> chosen;
  size_t next = 0;
  while (int64_t(chosen.size()) < count) {
    std::vector<uint8_t> distance(rows, 0);
    std::vector<int64_t> permutation;
    for (const std::vector<uint8_t>& column : columns) {
      const uint8_t here = column[next];
      permutation.push_back(here);
      for (size_t row = 0; row < rows; ++row) {
        distance[row] = uint8_t(distance[row] + (column[row] != here ? 1 : 0));
      }
    }
    chosen.push_back(permutation);
    for (size_t row = 0; row < rows; ++row) {
      nearest[row] = std::min(nearest[row], distance[row]);
    }
    next = size_t(std::max_element(nearest.begin(), nearest.end()) - nearest.begin());
  }
  return chosen;
}

}  // namespace bissl
