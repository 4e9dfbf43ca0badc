#include "report/escaping.h"
#include "report/plot.h"
#include "report/report.h"
#include "report/result_files.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

using Kind = ReportColumn::Kind;

ReportTable awkward() {
  return {"t",
          {{"name"}, {"n", Kind::number}},
          {{"a|b", {"1", {1.0}}}, {"say \"x\", <i>", {"2", {2.0}}}}};
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

/// A wide table is a region that keys can scroll; cells know their column.
TEST(Render, TablesOfThePageAreReachedByKeysAndRead) {
  const Report report{"r", {{"A & B", {"words"}, {awkward()}, {}}}};
  const std::string page = to_html(report);
  EXPECT_NE(page.find("<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
                      "aria-label=\"A &amp; B, table t\"><table>"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("<th scope=\"col\">name</th><th scope=\"col\" class=\"number\">n</th>"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("<nav aria-label=\"Sections\">"), std::string::npos);
}

TEST(Render, CsvHasNumbersInColumnsOfTheirOwn) {
  const ReportTable table{"t",
                          {{"label"}, {"mean", Kind::number}, {"95 % interval", Kind::interval}},
                          {{"", {"0.3333", {1.0 / 3}}, {"0.1 … 0.5", {0.1, 0.5}}},
                           {"one", {"–", {std::nullopt}}, {"–", {std::nullopt, std::nullopt}}},
                           {"nan", {"nan", {std::nan("")}}, {"", {-HUGE_VAL, 1e-300}}}}};
  EXPECT_EQ(to_csv(table),
            "label,mean,95 % interval low,95 % interval high\r\n"
            ",0.3333333333333333,0.1,0.5\r\n"
            "one,,,\r\n"
            "nan,,,1e-300\r\n");
}

TEST(Render, CsvTextIsNoFormulaAndNumbersStayNumbers) {
  for (const char* formula : {"=1+1", "+cmd|' /C calc'!A0", "-a", "@SUM(A1)", "\t=1", " =1", "\r=1",
                              "\v=1+1", "\x01@SUM(A1)"}) {
    const std::string cell = csv_text(formula);
    EXPECT_TRUE(cell.starts_with("'") || cell.starts_with("\"'")) << cell;
  }
  for (const char* number : {"-0.1", "+3", "1e-3", "-1e+05", "0.1"}) {
    EXPECT_EQ(csv_text(number), number);
  }
  EXPECT_EQ(csv_text("-"), "'-");
  EXPECT_EQ(csv_text("a\nb"), "\"a\nb\"");
  EXPECT_EQ(csv_text("a\xff"), "a\xef\xbf\xbd");
}

TEST(Render, MarkdownShowsTextAndNoMarkup) {
  EXPECT_EQ(markdown_text("<script>alert(1)</script>"), "\\<script\\>alert(1)\\</script\\>");
  EXPECT_EQ(markdown_text("a|b `c` *d* [e](f) &lt; #"),
            "a\\|b \\`c\\` \\*d\\* \\[e\\](f) \\&lt; \\#");
  EXPECT_EQ(markdown_text("few_labels _x_"), "few_labels \\_x\\_");
  EXPECT_EQ(markdown_text("two\nlines"), "two lines");
  EXPECT_EQ(markdown_text("c:\\d"), "c:\\\\d");
}

TEST(Render, XmlHasNoForbiddenCharacters) {
  const std::string unknown = "\xef\xbf\xbd";
  EXPECT_EQ(xml_text("a\x01"
                     "b\x1b[0m"),
            "a" + unknown + "b" + unknown + "[0m");
  EXPECT_EQ(xml_text("\xef\xbf\xbf"), unknown);
  EXPECT_EQ(xml_text("\xc3\x28"), unknown + "(");
  EXPECT_EQ(xml_text("\"'<>&\n"), "&quot;&#39;&lt;&gt;&amp;\n");
}

TEST(Render, TerminalTextMovesNoCursor) {
  EXPECT_EQ(terminal_text("a\x1b[2Jb\nc"), "a [2Jb c");
  // U+009B in UTF-8 begins a command as ESC and "[" do; U+00A0 and letters do not.
  EXPECT_EQ(terminal_text("a\xc2\x9b"
                          "2Jb"),
            "a 2Jb");
  EXPECT_EQ(terminal_text("\xc2\x80\xc2\x9f\xc2\xa0\xc3\xa9"), "  \xc2\xa0\xc3\xa9");
}

TEST(Render, FileNamesDifferAsTheirTextsDo) {
  EXPECT_EQ(file_name_part("curve-pretrain-loss"), "curve-pretrain-loss");
  std::set<std::string> names;
  for (const char* text : {"a b", "a/b", "a_b", "a\nb", "ä b", "a?b"}) {
    const std::string name = file_name_part(text);
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEF0123456789._-"),
              std::string::npos)
        << name;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  EXPECT_LT(file_name_part(std::string(5000, 'x')).size(), 200U);
}

TEST(Render, NotesAreInEveryForm) {
  const Report report{"r", {{"Learning curves", {"Only plots."}, {}, {}, {"Left out <b>."}}}};
  EXPECT_NE(to_terminal(report).find("Left out <b>."), std::string::npos);
  EXPECT_EQ(to_terminal(report).find("Only plots."), std::string::npos);
  EXPECT_NE(to_markdown(report).find("Left out \\<b\\>."), std::string::npos);
  EXPECT_NE(to_html(report).find("<p>Left out &lt;b&gt;.</p>"), std::string::npos);
}

/// In the page itself, so that it stays one file; beside it for Markdown.
TEST(Render, ImagesAreInThePage) {
  const ReportImage image{.name = "sheet",
                          .title = "A <b>",
                          .words = "Rows & columns.",
                          .alt = "Two \"cats\"><script>",
                          .png = std::string("\x89PNG\0", 5),
                          .width = 30,
                          .height = 20};
  ReportSection section;
  section.title = "S";
  section.images.push_back(image);
  Report report;
  report.title = "r";
  report.sections.push_back(section);
  EXPECT_NE(to_html(report).find(
                "<figure><figcaption>A &lt;b&gt;</figcaption>\n<p>Rows &amp; columns.</p>\n"
                "<img src=\"data:image/png;base64,iVBORwA=\" width=\"30\" height=\"20\" "
                "alt=\"Two &quot;cats&quot;&gt;&lt;script&gt;\"></figure>"),
            std::string::npos)
      << to_html(report);
  EXPECT_NE(to_markdown(report).find("**A \\<b\\>**\n\nRows \\& columns.\n\n"
                                     "![Two \"cats\"\\>\\<script\\>](report.sheet.png)\n"),
            std::string::npos)
      << to_markdown(report);
  const TemporaryFolder folder;
  write_report(report, ReportData{}, folder.path());
  EXPECT_EQ(read_file(folder.path() / "report.sheet.png"), image.png);
}

TEST(Render, Base64HasPadding) {
  EXPECT_EQ(base64_text(""), "");
  EXPECT_EQ(base64_text("f"), "Zg==");
  EXPECT_EQ(base64_text("fo"), "Zm8=");
  EXPECT_EQ(base64_text("foo"), "Zm9v");
  EXPECT_EQ(base64_text("\xff\xfe"), "//4=");
}

TEST(Render, LongLabelsThatDifferAreToldApartInPlots) {
  const std::string same(60, 'x');
  const Plot plot =
      line_plot("n", "t", "x", "y", {{same + "1", {0, 1}, {1, 2}}, {same + "2", {0, 1}, {2, 3}}});
  EXPECT_NE(plot.svg.find("… (1)"), std::string::npos) << plot.svg;
  EXPECT_NE(plot.svg.find("… (2)"), std::string::npos);
}

TEST(Render, EveryWayToNameAFolderGivesATitle) {
  const TemporaryFolder folder;
  const std::string name = folder.path().filename().string();
  for (const char* behind : {"", "/", "/.", "/./", "/a/..", "/a/../"}) {
    EXPECT_EQ(folder_title(folder.path().string() + behind), name) << behind;
  }
  EXPECT_EQ(folder_title("."), std::filesystem::current_path().filename().string());
  EXPECT_EQ(folder_title("/"), "/");
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

/// The numbers below a horizontal axis, from the left.
std::vector<std::string> tick_texts(const Plot& plot) {
  const std::string opening = "<text class=\"number middle\"";
  std::vector<std::string> texts;
  for (size_t at = plot.svg.find(opening); at != std::string::npos;
       at = plot.svg.find(opening, at + 1)) {
    const size_t begin = plot.svg.find('>', at) + 1;
    texts.push_back(plot.svg.substr(begin, plot.svg.find('<', begin) - begin));
  }
  return texts;
}

IntervalRow row_at(const std::string& label, double value) {
  return {.label = label,
          .points = {value, value},
          .mean = value,
          .low = value,
          .high = value,
          .tip = "",
          .baseline = false,
          .heading = false};
}

/// Stages whose results were there already take 0 seconds.
TEST(Render, BarsOfNoLengthHaveAnAxisAllTheSame) {
  const Plot plot =
      bar_plot("seconds", "t", "seconds", {"a", "b"}, {{"one", {0, 0}}, {"two", {0, 0}}});
  EXPECT_EQ(tick_texts(plot), (std::vector<std::string>{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}));
}

TEST(Render, AxesOfEqualValuesHaveDistinctTicks) {
  for (const double value : {0.0, 0.25, -3.0, 1e-12, -1e-12, 5e10, 1e-300, 1e300}) {
    const std::vector<IntervalRow> rows = {row_at("a", value), row_at("b", value)};
    for (const Plot& plot : {interval_plot("n", "t", "m", rows, /*zero=*/false),
                             interval_plot("n", "t", "m", rows, /*zero=*/true),
                             bar_plot("n", "t", "s", {"p"}, {{"a", {value}}, {"b", {value}}})}) {
      const std::vector<std::string> texts = tick_texts(plot);
      const std::set<std::string> distinct(texts.begin(), texts.end());
      EXPECT_GE(texts.size(), 3U) << value;
      EXPECT_EQ(distinct.size(), texts.size()) << value << "\n" << plot.svg;
      EXPECT_EQ(plot.svg.find("nan"), std::string::npos) << value << "\n" << plot.svg;
      EXPECT_EQ(plot.svg.find("inf"), std::string::npos) << value << "\n" << plot.svg;
      for (const std::string& text : texts) {
        EXPECT_LE(text.size(), 10U) << value;
      }
    }
  }
}

TEST(Render, ValuesThatDifferByRoundingAreDrawnAsOne) {
  EXPECT_EQ(ticks(0.3, 0.30000000000000004, 6), (std::vector<double>{0.3}));
  EXPECT_EQ(ticks(0, 1e-15, 5).size(), 6U);  // no rounding of anything greater
  // The mean of ten results of 0.1, added up and divided.
  const Plot plot = interval_plot("cells", "t", "m",
                                  {{.label = "a",
                                    .points = {0.1, 0.1},
                                    .mean = 0.09999999999999999,
                                    .low = 0.09999999999999998,
                                    .high = 0.1,
                                    .tip = "",
                                    .baseline = false,
                                    .heading = false}},
                                  /*zero=*/false);
  EXPECT_NE(plot.svg.find(">0.1"), std::string::npos) << plot.svg;
  EXPECT_LT(plot.svg.size(), 4000U);
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
}  // namespace bissl::host::test
