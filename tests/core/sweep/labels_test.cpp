// Values that differ have labels, and folders, that differ.

#include "sweep/labels.h"

#include "pipeline/toml_parser.h"
#include "sweep/settings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace bissl::host::test {
namespace {

ConfigNode node(const std::string& text) { return *parse_toml_value(text, {"test", 1, 1}); }

std::vector<ConfigNode> values(const std::vector<std::string>& texts) {
  std::vector<ConfigNode> nodes;
  for (const std::string& text : texts) {
    nodes.push_back(node(text));
  }
  return nodes;
}

size_t different(const std::vector<std::string>& texts) {
  return std::set<std::string>(texts.begin(), texts.end()).size();
}

TEST(Labels, TellValuesApart) {
  const std::vector<ConfigNode> solvers = {node("{ use = \"cg\", iterations = 3, damping = 1.0 }"),
                                           node("{ use = \"cg\", iterations = 5, damping = 1.0 }"),
                                           node("{ use = \"identity\" }")};
  EXPECT_EQ(labels_of(solvers),
            (std::vector<std::string>{"cg iterations=3", "cg iterations=5", "identity"}));
  EXPECT_EQ(labels_of({node("0.1"), node("1e-5"), node("true"), node("[1, 2]")}),
            (std::vector<std::string>{"0.1", "1e-05", "true", "[1,2]"}));
}

TEST(Labels, NumbersReadBackAsTheyWere) {
  EXPECT_EQ(labels_of(values({"0.1", "1e-5", "1000000.0", "1e30", "0.25"})),
            (std::vector<std::string>{"0.1", "1e-05", "1e+06", "1e+30", "0.25"}));
  EXPECT_EQ(labels_of(values({"0.1234567", "0.1234568", "1.0000001"})),
            (std::vector<std::string>{"0.1234567", "0.1234568", "1.0000001"}));
  for (const double number : {1.0 / 3, 0.1 + 0.2, std::nextafter(1.0, 2.0), 12345678.9, 1e-300}) {
    ConfigNode node;
    node.type = ConfigNode::Type::real;
    node.scalar = number;
    EXPECT_EQ(std::stod(labels_of({node}).front()), number);
  }
  EXPECT_EQ(labels_of(values({"-0.0"})).front(), "0");
}

TEST(Labels, DifferWhereverValuesDiffer) {
  const std::vector<std::vector<std::string>> lists = {
      // inside components, at any depth
      {R"({ use = "cg", damping = 0.1 })", R"({ use = "cg", damping = 0.10000001 })"},
      {R"({ use = "cg", a = { b = 0.1234567 } })", R"({ use = "cg", a = { b = 0.1234568 } })"},
      {R"({ use = "cg", a = 1, b = 2 })", R"({ use = "cg", a = "1 b=2" })", R"({ use = "cg" })"},
      // lists, and texts that look like them
      {"[0.1234567, 1.0]", "[0.1234568, 1.0]"},
      {R"(["a", "b"])", R"(["a,b"])", R"("[a,b]")"},
      {"[[1, 2], [3]]", "[[1], [2, 3]]"},
      // texts by their exact characters
      {R"("A")", R"("a")", R"("a ")", R"("")", R"(" ")", R"("a\nb")", R"("a b")", R"("\"a\"")"},
      {R"("1")", "1", "true", R"("true")"},
      // integers that no real number tells apart
      {"9007199254740993", "9007199254740992"},
      {"\"" + std::string(300, 'x') + "1\"", "\"" + std::string(300, 'x') + "2\""},
  };
  for (const auto& list : lists) {
    const std::vector<std::string> labels = labels_of(values(list));
    EXPECT_EQ(different(labels), list.size()) << list.front();
    EXPECT_EQ(different(folder_parts(labels)), list.size()) << list.front();
  }
}

TEST(Labels, EqualValuesAreFound) {
  EXPECT_TRUE(same_value(node("1"), node("1.0")));
  EXPECT_TRUE(
      same_value(node("{ use = \"cg\", a = 1, b = 2 }"), node("{ use = \"cg\", b = 2.0, a = 1 }")));
  EXPECT_FALSE(same_value(node("{ use = \"cg\" }"), node("\"cg\"")));
  EXPECT_FALSE(same_value(node("9007199254740993"), node("9007199254740992")));
  EXPECT_FALSE(same_value(node("{ use = \"cg\", a = 1 }"), node("{ use = \"cg\" }")));
}

TEST(Labels, JointLabelsTellCombinationsApart) {
  EXPECT_EQ(joint_labels({values({"1", "2"}), values({"0.5", "0.25"})}),
            (std::vector<std::string>{"1+0.5", "2+0.25"}));
  EXPECT_EQ(
      different(joint_labels({values({R"("1+2")", R"("1")"}), values({R"("3")", R"("2+3")"})})),
      2U);
  EXPECT_EQ(different(joint_labels({values({"0.1234567", "0.1234568"}), values({"1", "1"})})), 2U);
}

TEST(FolderParts, DoNotDependOnOrderOrCase) {
  EXPECT_EQ(folder_parts({"lr=0.1", "use=cg iterations=3"}),
            (std::vector<std::string>{"lr=0.1", "use=cg_iterations=3"}));
  const std::vector<std::string> parts = folder_parts({"x=a/b", "x=a:b", "x=c"});
  EXPECT_EQ(parts[2], "x=c");
  EXPECT_NE(parts[0], parts[1]);
  EXPECT_TRUE(parts[0].starts_with("x=a_b-")) << parts[0];
  EXPECT_EQ(folder_parts({"x=a:b", "x=c", "x=a/b"}),
            (std::vector<std::string>{parts[1], parts[2], parts[0]}));
  const std::vector<std::string> cases = folder_parts({"x=Adam", "x=adam"});
  EXPECT_TRUE(cases[0].starts_with("x=Adam-") && cases[1].starts_with("x=adam-"));
  EXPECT_NE(cases[0].substr(7), cases[1].substr(7));
}

TEST(ShortNames, DifferForKeysWithDotsInQuotes) {
  EXPECT_EQ(short_names({{"stage", "a.b", "steps"}, {"stage", "a", "b", "steps"}}),
            (std::vector<std::string>{"\"a.b\".steps", "b.steps"}));
}

}  // namespace
}  // namespace bissl::host::test
