// Arrays of tables that a table declares: `groups = [ { … }, { … } ]`.

#include "fixture.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

struct LookOptions {
  std::string data;
  int64_t every = 1;
};

/// `look`: a table, or an array of such tables, each of which names a data source.
SubtableSpec look_table() {
  Schema<LookOptions> schema;
  schema.add("data", &LookOptions::data, "what is looked at").required().names_data();
  schema.add("every", &LookOptions::every, "steps between two looks");
  SubtableSpec look;
  look.name = "look";
  look.table.parameters = schema.specs();
  look.required = false;
  look.or_list = true;
  return look;
}

class ListsTest : public PipelineTest {
 protected:
  ListsTest() {
    StageKindSpec kind;
    kind.name = "listed";
    ParameterSpec match;
    match.name = "match";
    match.type = ValueType::string;
    match.required = true;
    match.doc = "a pattern";
    TableSpec group;
    group.parameters = {match, parameter("factor", 1.0)};
    TableSpec rates;
    rates.parameters = {parameter("scale", 2.0)};
    rates.tables = {{.name = "groups", .table = group, .required = false, .list = true}};
    kind.table.tables = {{"rates", rates, false, ""}, look_table()};
    kinds_.push_back(kind);
  }

  static std::string stage(const std::string& rates) {
    return head + ("[stage.s]\nkind = \"listed\"\n" + rates);
  }

  std::string faults(const std::string& rates) {
    return to_text(read_text(stage(rates)).diagnostics);
  }
};

const std::string two =
    "[[stage.s.rates.groups]]\nmatch = \"a.*\"\nfactor = 0.5\n"
    "[[stage.s.rates.groups]]\nmatch = \"b\"\n";

TEST_F(ListsTest, AreReadInTheirOrderWithDefaults) {
  const Pipeline pipeline = sound(stage(two));
  const Table& rates = pipeline.stage("s").table.table("rates");
  const std::vector<Table>& groups = rates.lists.at("groups");
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].values.at("match"), Value(std::string("a.*")));
  EXPECT_EQ(groups[0].values.at("factor"), Value(0.5));
  EXPECT_EQ(groups[1].values.at("factor"), Value(1.0));
  EXPECT_NE(groups[1].origin, groups[0].origin);
}

TEST_F(ListsTest, ComeBackFromTheLockAndAreInTheKey) {
  const Pipeline first = sound(stage(two));
  write("lock.toml", to_lock_toml(first));
  const ReadResult again = read({}, "lock.toml");
  ASSERT_TRUE(again.pipeline) << to_text(again.diagnostics) << to_lock_toml(first);
  EXPECT_EQ(canonical(*again.pipeline).dump(), canonical(first).dump());
  const auto key = [this](const std::string& rates) {
    return canonical(sound(stage(rates)).stage("s").table).dump();
  };
  EXPECT_NE(key(two), key("[[stage.s.rates.groups]]\nmatch = \"a.*\"\nfactor = 0.5\n"));
  EXPECT_EQ(key(two), key("rates.groups = [ { match = \"a.*\", factor = 0.5 }, { factor = 1.0, "
                          "match = \"b\" } ]\n"))
      << "the spelling does not count";
}

TEST_F(ListsTest, FaultsNameTheirPlace) {
  EXPECT_NE(faults("[[stage.s.rates.groups]]\nfactor = 0.5\n")
                .find("stage.s.rates.groups.0.match: this required key is missing"),
            std::string::npos)
      << faults("[[stage.s.rates.groups]]\nfactor = 0.5\n");
  EXPECT_NE(faults(two + "factr = 2\n").find("stage.s.rates.groups.1.factr: unknown key"),
            std::string::npos);
  EXPECT_NE(faults("[stage.s.rates]\ngroups = 3\n").find("tables [[stage.s.rates.groups]] with"),
            std::string::npos);
  EXPECT_NE(faults("[stage.s.rates]\ngroups = [ 3 ]\n").find("stage.s.rates.groups"),
            std::string::npos);
}

/// A table alone is a table as any other is, so that the keys of stages stay what they were.
TEST_F(ListsTest, ATableMayBeAnArrayWhereItsSpecificationSaysSo) {
  const Table one = sound(stage("[stage.s.look]\ndata = \"train\"\n")).stage("s").table;
  EXPECT_EQ(one.lists.count("look"), 0U);
  EXPECT_EQ(one.table("look").values.at("every"), Value(int64_t{1}));
  EXPECT_FALSE(canonical(one).contains("lists"));
  EXPECT_EQ(data_names(one), std::vector<std::string>{"train"});

  const Pipeline several = sound(
      stage("[[stage.s.look]]\ndata = \"train\"\n[[stage.s.look]]\ndata = \"train\"\nevery = 5\n"));
  const Table& table = several.stage("s").table;
  EXPECT_FALSE(table.has_table("look"));
  ASSERT_EQ(table.lists.at("look").size(), 2U);
  EXPECT_EQ(table.lists.at("look")[1].values.at("every"), Value(int64_t{5}));
  EXPECT_EQ(data_names(table), (std::vector<std::string>{"train", "train"}));
  write("lock.toml", to_lock_toml(several));
  const ReadResult again = read({}, "lock.toml");
  ASSERT_TRUE(again.pipeline) << to_text(again.diagnostics) << to_lock_toml(several);
  EXPECT_EQ(canonical(*again.pipeline).dump(), canonical(several).dump());

  EXPECT_NE(faults("look = 3\n").find("or an array of such tables"), std::string::npos)
      << faults("look = 3\n");
  EXPECT_NE(faults("look = []\n").find("the array is empty"), std::string::npos);
  EXPECT_NE(faults("look = [ { data = \"train\" }, { data = \"tain\" } ]\n")
                .find("stage.s.look.1.data: there is no data source \"tain\""),
            std::string::npos);
}

}  // namespace
}  // namespace bissl::host::test
