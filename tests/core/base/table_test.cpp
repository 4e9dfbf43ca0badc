#include "base/table.h"

#include "base/text_width.h"
#include "core/store/failing_disk.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

using Align = TextTable::Align;

TEST(TextTable, AlignsColumnsWithoutTrailingBlanks) {
  TextTable table({{"arm"}, {"images", Align::right}, {"top-1"}});
  table.add_row({"bissl", "800", "71.2 ± 0.5"});
  table.add_row({"from scratch", "12000", "60"});
  table.add_row({"none"});
  EXPECT_EQ(table.text(),
            "arm           images  top-1\n"
            "------------  ------  ----------\n"
            "bissl            800  71.2 ± 0.5\n"
            "from scratch   12000  60\n"
            "none\n");
}

TEST(TextTable, AlignsUtf8ByItsWidth) {
  TextTable table({{"é", Align::right}, {"x"}});
  table.add_row({"ab", "1"});
  table.add_row({"日本", "2"});
  EXPECT_EQ(table.text(),
            "   é  x\n"
            "----  -\n"
            "  ab  1\n"
            "日本  2\n");
}

TEST(TextTable, WithoutRowsHasItsTitles) {
  EXPECT_EQ(TextTable({{"a"}, {"b"}}).text(), "a  b\n-  -\n");
}

TEST(TextTable, RefusesTooManyCells) {
  TextTable table({{"a"}});
  EXPECT_EQ(error_of([&] {
              table.add_row({"1", "2"});
            }),
            "run: a row of 2 cells does not fit a table of 1 columns");
}

TEST(TextWidth, CountsColumns) {
  EXPECT_EQ(display_width(""), 0u);
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("±°é"), 3u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("🙂"), 2u);
  EXPECT_EQ(display_width("a\tb"), 2u);
  EXPECT_EQ(display_width("\xFF\xC3"), 2u);
  EXPECT_EQ(display_width("\xE6\x97x"), 3u);
}

TEST(TextWidth, TruncatesBetweenCharacters) {
  EXPECT_EQ(truncate_to_width("abc", 3), "abc");
  EXPECT_EQ(truncate_to_width("abcd", 3), "ab…");
  EXPECT_EQ(truncate_to_width("日本語", 6), "日本語");
  EXPECT_EQ(truncate_to_width("日本語", 5), "日本…");
  EXPECT_EQ(truncate_to_width("日本語", 4), "日…");
  EXPECT_EQ(truncate_to_width("abc", 1), "…");
  EXPECT_EQ(truncate_to_width("abc", 0), "");
}

}  // namespace
}  // namespace bissl::host::test
