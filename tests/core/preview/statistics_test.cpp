#include "preview/statistics.h"

#include "core/data/fake_data.h"

#include <cmath>

namespace bissl::host::test {
namespace {

TEST(DataStatistics, MeanAndDeviationAreThoseOfAllPixels) {
  // The pixels are 0, 1, 2, 3.
  const DataView data(std::make_shared<FakeDataset>(std::vector<int64_t>{0, 1, 1, 0},
                                                    std::vector<std::string>{"cat", "dog"}),
                      {});
  const DataStatistics found = statistics_of(data, 100);
  EXPECT_EQ(found.samples, 4);
  EXPECT_EQ(found.looked_at, 4);
  ASSERT_EQ(found.mean.size(), 1U);
  EXPECT_NEAR(found.mean[0], 1.5 / 255, 1e-12);
  EXPECT_NEAR(found.std[0], std::sqrt(1.25) / 255, 1e-12);
  EXPECT_EQ(found.classes, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(found.class_counts, (std::vector<int64_t>{2, 2}));
}

TEST(DataStatistics, SizesAreRangesAndAPartIsSpreadOverTheSource) {
  const auto dataset = unlabelled(10);
  dataset->odd_sample = 5;
  const DataStatistics all = statistics_of(DataView(dataset, {}), 10);
  EXPECT_EQ(all.least_height, 1);
  EXPECT_EQ(all.most_height, 2);
  EXPECT_EQ(all.most_width, 5);
  EXPECT_TRUE(all.class_counts.empty());
  // Samples 0, 2, 5 and 7.
  const DataStatistics part = statistics_of(DataView(dataset, {}), 4);
  EXPECT_EQ(part.looked_at, 4);
  EXPECT_EQ(part.most_height, 2);
}

}  // namespace
}  // namespace bissl::host::test
