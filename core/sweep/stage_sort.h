#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <map>
#include <set>
#include <string>

namespace bissl::host {

/// What a trial pass of a stage depends on, but for what the stages before it hand on.
struct StageSort {
  std::string sort;     ///< the same for stages that differ in their seed and in real numbers alone
  std::string variant;  ///< the same for stages of one sort whose `numbers` are the same
  std::map<std::string, double> numbers;  ///< real ones, by their places in the description
};

/// How the numbers of a StageSort are taken.
enum class Numbers {
  exact,
  by_refusal  ///< 0 or 1 for one of which a refusal depends at most on whether it is 0
};

/// `description` is that of a StageIdentity.
StageSort sort_of(nlohmann::json description, Numbers numbers);

/// Which stages of each sort have the least and the greatest value of a number in which stages of
/// the sort differ: where a range holds what is refused, it begins at one of its ends as a rule.
class NumberEnds {
 public:
  /// Every key once.
  void add(const std::string& key, const StageSort& stage);
  /// The keys of these stages; of more than `most` those that were added first.
  std::set<std::string> keys(size_t most) const;

 private:
  struct End {
    double value = 0;
    size_t place = 0;  ///< in the order of add()
    std::string key;
  };
  struct Range {
    End least;
    End greatest;
  };
  std::map<std::string, Range> ranges_;  ///< by sort and number
  size_t added_ = 0;
};

}  // namespace bissl::host
