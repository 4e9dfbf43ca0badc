#include "pipeline/stage_links.h"

#include <algorithm>
#include <utility>

namespace bissl::host {
namespace {

void place(const std::vector<std::vector<size_t>>& links, size_t stage, std::vector<char>& placed,
           std::vector<size_t>& order) {
  if (placed[stage] != 0) {
    return;
  }
  placed[stage] = 1;
  for (const size_t other : links[stage]) {
    place(links, other, placed, order);
  }
  order.push_back(stage);
}

}  // namespace

std::vector<std::vector<size_t>> cut_circles(std::vector<size_t>& links) {
  enum : char { unseen, on_path, done };
  std::vector<char> state(links.size(), unseen);
  std::vector<std::vector<size_t>> circles;
  for (size_t start = 0; start < links.size(); ++start) {
    std::vector<size_t> walked;
    size_t current = start;
    while (current != no_stage && state[current] == unseen) {
      state[current] = on_path;
      walked.push_back(current);
      current = links[current];
    }
    if (current != no_stage && state[current] == on_path) {
      std::vector<size_t> circle(std::find(walked.begin(), walked.end(), current), walked.end());
      std::rotate(circle.begin(), std::min_element(circle.begin(), circle.end()), circle.end());
      links[circle.front()] = no_stage;
      circles.push_back(std::move(circle));
    }
    for (const size_t stage : walked) {
      state[stage] = done;
    }
  }
  return circles;
}

bool links_reach(const std::vector<std::vector<size_t>>& links, size_t from, size_t to) {
  std::vector<size_t> open = {from};
  std::vector<char> seen(links.size(), 0);
  while (!open.empty()) {
    const size_t stage = open.back();
    open.pop_back();
    if (stage == to) {
      return true;
    }
    if (seen[stage] == 0) {
      seen[stage] = 1;
      open.insert(open.end(), links[stage].begin(), links[stage].end());
    }
  }
  return false;
}

std::vector<size_t> in_dependency_order(const std::vector<std::vector<size_t>>& links) {
  std::vector<size_t> order;
  std::vector<char> placed(links.size(), 0);
  for (size_t stage = 0; stage < links.size(); ++stage) {
    place(links, stage, placed, order);
  }
  return order;
}

std::vector<std::vector<size_t>> lists_of_links(const std::vector<size_t>& links) {
  std::vector<std::vector<size_t>> lists(links.size());
  for (size_t stage = 0; stage < links.size(); ++stage) {
    if (links[stage] != no_stage) {
      lists[stage].push_back(links[stage]);
    }
  }
  return lists;
}

}  // namespace bissl::host
