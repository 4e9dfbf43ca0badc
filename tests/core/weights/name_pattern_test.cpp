#include "weights/name_pattern.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

TEST(NamePattern, FitsNamesAndWhatIsBelowThem) {
  EXPECT_TRUE(fits_pattern("fc", "fc"));
  EXPECT_TRUE(fits_pattern("fc", "fc.weight"));
  EXPECT_FALSE(fits_pattern("fc", "fc2.weight"));
  EXPECT_TRUE(fits_pattern("layer*.bn1", "layer4.0.bn1"));
  EXPECT_FALSE(fits_pattern("layer*.bn1", "layer4.0.bn1.weight"));
  EXPECT_TRUE(fits_pattern("*bias*", "a.bias"));
  EXPECT_TRUE(fits_pattern("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(fits_pattern("a*b*c", "aXbYbZ"));
  EXPECT_FALSE(fits_pattern("", "a"));
  EXPECT_TRUE(fits_pattern("*", ""));
}

TEST(NamePattern, ReplacesWholeParts) {
  EXPECT_EQ(with_parts_replaced("0.0.10.0", "0", "x"), "x.x.10.x");
  EXPECT_EQ(with_parts_replaced("0.0.10", "^0", "conv1"), "conv1.0.10");
  EXPECT_EQ(with_parts_replaced("a.b.c", "a.b", "z"), "z.c");
  EXPECT_EQ(with_parts_replaced("ab.c", "a", "z"), "ab.c");
  EXPECT_EQ(with_parts_replaced("a.b", "", "z"), "a.b");
}

}  // namespace
}  // namespace bissl::host::test
