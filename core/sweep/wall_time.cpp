#include "sweep/wall_time.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <queue>
#include <utility>

namespace bissl::host {
namespace {

/// A queue whose least element comes first.
template <class T>
using LeastFirst = std::priority_queue<T, std::vector<T>, std::greater<T>>;

/// Stages by their places in the list, and what they wait for.
class Waiting {
 public:
  explicit Waiting(const std::vector<const PlanNode*>& nodes)
      : missing_(nodes.size(), 0), ready_at_(nodes.size(), 0.0), users_(nodes.size()) {
    std::map<std::string, size_t> places;
    for (size_t i = 0; i < nodes.size(); ++i) {
      places.emplace(nodes[i]->key, i);
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
      for (const std::string& key : needed_by(*nodes[i])) {
        if (const auto needed = places.find(key); needed != places.end()) {
          users_[needed->second].push_back(i);
          ++missing_[i];
        }
      }
      if (missing_[i] == 0) {
        later_.emplace(0.0, i);
      }
    }
  }

  /// Whether a stage is left; one can begin then, now or later.
  bool any() const { return !now_.empty() || !later_.empty(); }

  /// Takes the stage that a job which is free from `free_at` on begins, and gives the time when it
  /// begins. `free_at` must not decrease from call to call.
  std::pair<size_t, double> take(double free_at) {
    while (!later_.empty() && later_.top().first <= free_at) {
      now_.push(later_.top().second);
      later_.pop();
    }
    if (!now_.empty()) {
      const size_t place = now_.top();
      now_.pop();
      return {place, free_at};
    }
    const auto [begin, place] = later_.top();
    later_.pop();
    return {place, begin};
  }

  /// The stage ends at this time: what waited for it alone can begin.
  void ended(size_t place, double end) {
    for (const size_t user : users_[place]) {
      ready_at_[user] = std::max(ready_at_[user], end);
      if (--missing_[user] == 0) {
        later_.emplace(ready_at_[user], user);
      }
    }
  }

 private:
  std::vector<size_t> missing_;                  ///< how many stages each still waits for
  std::vector<double> ready_at_;                 ///< the end of the last of them so far
  std::vector<std::vector<size_t>> users_;       ///< those that wait for each
  LeastFirst<size_t> now_;                       ///< can begin when a job is free
  LeastFirst<std::pair<double, size_t>> later_;  ///< can begin at these times
};

}  // namespace

double wall_time(const std::vector<const PlanNode*>& nodes,
                 const std::map<std::string, double>& seconds, int jobs) {
  LeastFirst<double> free_at;
  for (int job = 0; job < std::max(1, jobs); ++job) {
    free_at.push(0.0);
  }
  Waiting waiting(nodes);
  double last = 0;
  while (waiting.any()) {
    const auto [place, begin] = waiting.take(free_at.top());
    const double end = begin + seconds.at(nodes[place]->key);
    free_at.pop();
    free_at.push(end);
    waiting.ended(place, end);
    last = std::max(last, end);
  }
  return last;
}

}  // namespace bissl::host
