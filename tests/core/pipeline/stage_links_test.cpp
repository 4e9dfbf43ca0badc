#include "pipeline/stage_links.h"

#include <gtest/gtest.h>

namespace bissl::host {
namespace {

using Links = std::vector<size_t>;
using Lists = std::vector<std::vector<size_t>>;

TEST(StageLinks, CirclesAreCutAtTheirFirstStage) {
  Links links = {1, 3, 1, 2, no_stage, 5};
  EXPECT_EQ(cut_circles(links), (Lists{{1, 3, 2}, {5}}));
  EXPECT_EQ(links, (Links{1, no_stage, 1, 2, no_stage, no_stage}));
  EXPECT_EQ(cut_circles(links), Lists{});
}

TEST(StageLinks, OrderPutsWhatIsNeededBefore) {
  EXPECT_EQ(in_dependency_order({{2}, {}, {3, 1}, {}}), (Links{3, 1, 2, 0}));
  EXPECT_EQ(in_dependency_order({{}, {}, {}}), (Links{0, 1, 2}));
  EXPECT_EQ(lists_of_links({no_stage, 0}), (Lists{{}, {0}}));
}

TEST(StageLinks, ReachOverOthers) {
  const Lists links = {{1}, {2, 3}, {}, {0}};
  EXPECT_TRUE(links_reach(links, 0, 2));
  EXPECT_TRUE(links_reach(links, 2, 2));
  EXPECT_FALSE(links_reach(links, 2, 0));
  EXPECT_TRUE(links_reach(links, 1, 0)) << "also where they lead in a circle";
}

}  // namespace
}  // namespace bissl::host
