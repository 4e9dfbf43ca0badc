#include "report/plot.h"
#include "report/report.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace bissl::test {
namespace {

ReportTable awkward() {
  return {"t", {"name", "n"}, {false, true}, {{"a|b", "1"}, {"say \"x\", <i>", "2"}}};
}

TEST(Render, EachFormEscapesWhatWouldBreakIt) {
  EXPECT_EQ(to_csv(awkward()), "name,n\r\na|b,1\r\n\"say \"\"x\"\", <i>\",2\r\n");
  const Report report{"R & D", {{"S", {"p < 0.05"}, {awkward()}, {}}}};
  const std::string markdown = to_markdown(report);
  EXPECT_NE(markdown.find("| name | n |\n| --- | ---: |\n| a\\|b | 1 |"), std::string::npos)
      << markdown;
  const std::string page = to_html(report);
  EXPECT_NE(page.find("<title>R &amp; D</title>"), std::string::npos);
  EXPECT_NE(page.find("<p>p &lt; 0.05</p>"), std::string::npos);
  EXPECT_NE(page.find("<td>say &quot;x&quot;, &lt;i&gt;</td><td class=\"number\">2</td>"),
            std::string::npos);
  EXPECT_NE(to_terminal(report).find("a|b           1"), std::string::npos) << to_terminal(report);
}

TEST(Render, TicksAreRoundAndInside) {
  EXPECT_EQ(ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  for (const auto& [low, high] :
       {std::pair{0.6123, 0.6987}, {-0.04, 0.04}, {1e-9, 3e-9}, {-1234.0, 99999.0}}) {
    const std::vector<double> at = ticks(low, high, 6);
    EXPECT_GE(at.size(), 3U);
    EXPECT_LE(at.size(), 8U);
    EXPECT_GE(at.front(), low - 1e-12);
    EXPECT_LE(at.back(), high + 1e-9 * (high - low));
  }
  EXPECT_EQ(ticks(2, 2, 5), (std::vector<double>{2}));
}

TEST(Render, APlotCarriesItsValuesAndStandsAlone) {
  const Plot plot = interval_plot("cells", "Title & more", "m",
                                  {{.label = "a <b>",
                                    .points = {1, 2},
                                    .mean = 1.5,
                                    .low = 1.0,
                                    .high = 2.0,
                                    .tip = "a <b>\nmean 1.5",
                                    .baseline = true,
                                    .heading = false}},
                                  true);
  EXPECT_NE(plot.svg.find("data-tip=\"a &lt;b&gt;\nmean 1.5\""), std::string::npos) << plot.svg;
  EXPECT_NE(plot.svg.find("class=\"zero\""), std::string::npos);
  const std::string file = standalone(plot);
  EXPECT_TRUE(file.starts_with("<?xml"));
  EXPECT_NE(file.find("<title>Title &amp; more</title>"), std::string::npos);
  EXPECT_NE(file.find("prefers-color-scheme:dark"), std::string::npos);
}

TEST(Render, NothingToDrawIsDrawnAsNothing) {
  for (const Plot& plot : {interval_plot("n", "t", "m", {}, false),
                           line_plot("n", "t", "x", "y", {}), bar_plot("n", "t", "s", {}, {})}) {
    EXPECT_EQ(plot.svg.find("nan"), std::string::npos);
    EXPECT_EQ(plot.svg.find("inf"), std::string::npos);
  }
  const Plot one = line_plot("n", "t", "x", "y", {{"a", {0.5}, {2.0}}});
  EXPECT_EQ(one.svg.find("nan"), std::string::npos) << one.svg;
}

}  // namespace
}  // namespace bissl::test
