#include "cli/solve_advice.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

std::string advice(const nlohmann::json& ended) {
  return solve_advice("second", {{"ended", ended}});
}

TEST(SolveAdvice, NamesMinresFromATenthOfTheSolvesOn) {
  for (const auto& ended :
       {nlohmann::json{{"iteration_limit", 9}, {"negative_curvature", 1}},
        nlohmann::json{{"negative_curvature", 4}},
        nlohmann::json{{"converged", 20}, {"iteration_limit", 21}, {"negative_curvature", 20}}}) {
    EXPECT_NE(advice(ended).find("\"minres\""), std::string::npos) << ended;
  }
  EXPECT_EQ(advice({{"iteration_limit", 9}, {"negative_curvature", 1}})
                .find("second: 1 of 10 solves met negative curvature"),
            0U);
}

TEST(SolveAdvice, FewOrNoneOfThemNeedNone) {
  EXPECT_EQ(advice({{"iteration_limit", 121}, {"negative_curvature", 7}}), "");
  EXPECT_EQ(advice({{"iteration_limit", 10}, {"negative_curvature", 1}}), "");
  EXPECT_EQ(advice({{"diverged", 3}}), "");
  EXPECT_EQ(advice(nlohmann::json::object()), "");
}

}  // namespace
}  // namespace bissl::host::test
