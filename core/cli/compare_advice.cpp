#include "cli/compare_advice.h"

#include "report/sections.h"
#include "report/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace bissl::host {
namespace {

/// One of the two arms that are compared, with what a result of it takes.
struct AdvisedArm {
  std::string label;
  std::optional<double> seconds;
};

bool is_cheaper(const std::optional<double>& seconds, const std::optional<double>& than) {
  return seconds && than && *seconds < *than;
}

/// What is to be said of the arm with the best mean where that is neither of the two: to use it,
/// unless it is the dearer one and its lead may be chance.
std::string third_arm_words(const PooledResults& pooled, const PooledComparison& primary,
                            const AdvisedArm& advised, bool more) {
  const Arm& best = pooled.arms.front().arm;
  const auto found = std::find_if(
      pooled.comparisons.begin(), pooled.comparisons.end(),
      [&](const PooledComparison& one) { return one.arm == primary.arm && one.against == best; });
  if (best == primary.arm || best == primary.against || found == pooled.comparisons.end()) {
    return "";
  }
  const double lead_of_first = found->difference.mean;
  if (lead_of_first == 0 || (lead_of_first > 0) == more) {
    return "";  // not in the repetitions that both have
  }
  const std::string lead = fmt::format(
      " But {} did better than both in the mean, by {} than {} (p = {:.2g}, {:.2g} adjusted)",
      best.label, number_text(std::abs(lead_of_first)), primary.arm.label, found->test.p,
      found->adjusted);
  if (is_cheaper(found->seconds_against, advised.seconds)) {
    return lead + ", and takes less time: use that one.";
  }
  return is_sure(*found) ? lead + ": use that one."
                         : lead + ": give more seeds to see whether that is chance.";
}

}  // namespace

std::string compare_advice(const ReportData& data, const PooledResults& pooled) {
  const PooledComparison& one = pooled.comparisons.at(pooled.primary.value());
  const bool more = more_is_better(data);
  const AdvisedArm arm{one.arm.label, one.seconds};
  const AdvisedArm against{one.against.label, one.seconds_against};
  if (is_sure(one)) {
    const AdvisedArm& better = (one.difference.mean > 0) == more ? arm : against;
    const std::string third = third_arm_words(pooled, one, better, more);
    return fmt::format("{} {}.{}", third.empty() ? "Use" : "Of the two, use", better.label, third);
  }
  const AdvisedArm& cheaper = is_cheaper(arm.seconds, against.seconds) ? arm : against;
  return fmt::format(
      "These runs do not tell the two apart: take the cheaper one, {}, or give more seeds.{}",
      cheaper.label, third_arm_words(pooled, one, cheaper, more));
}

}  // namespace bissl::host
