#include "list_file.h"

#include "bissl/error.h"

#include <gtest/gtest.h>

namespace bissl::host {
namespace {

using namespace std::string_literals;

/// "path:label" of each image, the label as its name.
std::vector<std::string> entries(const std::string& text) {
  const ListContent content = read_list(text, "list.csv");
  std::vector<std::string> found;
  for (int64_t i = 0; i < content.images.size(); ++i) {
    const int32_t label = content.images.label(i);
    found.push_back(content.images.path(i) + ":" +
                    (label < 0 ? "" : content.labels[static_cast<size_t>(label)]));
  }
  return found;
}

std::string refusal(const std::string& text) {
  try {
    read_list(text, "list.csv");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

using Entries = std::vector<std::string>;

TEST(ListFile, HasPathsAndLabels) {
  EXPECT_EQ(entries("b.jpg,cat\na/c.png,dog\n"), (Entries{"b.jpg:cat", "a/c.png:dog"}));
  EXPECT_EQ(entries("b.jpg\nc.jpg"), (Entries{"b.jpg:", "c.jpg:"}));
  EXPECT_EQ(entries("b.jpg,\nc.jpg,dog"), (Entries{"b.jpg:", "c.jpg:dog"}));
  EXPECT_EQ(entries("path,label\nb.jpg,cat\n"), (Entries{"b.jpg:cat"}));
  EXPECT_EQ(entries("path\nb.jpg\n"), (Entries{"b.jpg:"}));
  EXPECT_EQ(entries("b.jpg,cat\npath,label\n"), (Entries{"b.jpg:cat", "path:label"}));
}

TEST(ListFile, LabelsAreInTheOrderOfTheirBytes) {
  const ListContent content = read_list("1,zebra\n2,Ant\n3,ant\n4,zebra\n5,10\n6,9\n", "list.csv");
  EXPECT_EQ(content.labels, (Entries{"10", "9", "Ant", "ant", "zebra"}));
  EXPECT_EQ(content.images.label(0), 4);
  EXPECT_EQ(content.images.label(1), 2);
}

TEST(ListFile, TakesTheTextOfSpreadsheets) {
  EXPECT_EQ(
      entries("\xEF\xBB\xBFpath,label\r\nb.jpg,cat\r\n\r\nc.jpg,\"a \"\"big\"\" dog, old\"\r\n"),
      (Entries{"b.jpg:cat", "c.jpg:a \"big\" dog, old"}));
  EXPECT_EQ(entries("\" b.jpg\",\"two\nlines\"\nc.jpg,x"),
            (Entries{" b.jpg:two\nlines", "c.jpg:x"}));
  EXPECT_EQ(entries(""), Entries{});
  EXPECT_EQ(entries("\n\n"), Entries{});
}

TEST(ListFile, WrongLinesAreNamed) {
  EXPECT_EQ(refusal("a.jpg,cat\nb.jpg,cat,3\n"),
            "list.csv:2: has 3 fields; expected a path, or a path and a label");
  EXPECT_EQ(refusal("a.jpg\n\n,cat\n"), "list.csv:3: has no path");
  EXPECT_EQ(
      refusal("a.jpg, cat\n"),
      "list.csv:1: has blanks around the field \" cat\"; take them away, or put it in quotes");
  EXPECT_EQ(refusal("\"a.jpg\n"), "list.csv:1: a field in quotes does not end");
  EXPECT_EQ(refusal("\"a.jpg\"x,cat\n"),
            "list.csv:1: has \"x\" behind a field in quotes; expected a comma or the line's end");
  EXPECT_EQ(refusal("a\"b.jpg\n"),
            "list.csv:1: has a quote within a field; put the whole field in quotes and double it");
  EXPECT_EQ(refusal("a.jpg\rb.jpg\n"),
            "list.csv:1: has a carriage return within a field; lines end with LF or CRLF");
  EXPECT_EQ(refusal("a.jpg,cat\nb\0.jpg,cat\n"s),
            "list.csv:2: has a byte that is zero; expected text in UTF-8");
  EXPECT_EQ(refusal("\"b\0.jpg\",cat\n"s),
            "list.csv:1: has a byte that is zero; expected text in UTF-8");
  EXPECT_EQ(refusal("\xFF\xFE"s + "a\0.\0j\0"s),
            "list.csv:1: has a byte that is zero; expected "
            "text in UTF-8");
}

TEST(ListFile, APathIsNamedOnce) {
  EXPECT_EQ(refusal("a.jpg,x\n\"c\nd\",x\nb.jpg,x\na.jpg,y\n"),
            "list.csv:5: names the same path as line 1: a.jpg");
}

}  // namespace
}  // namespace bissl::host
