// Faults of the registration itself.

#include "fixtures.h"
#include "plugins/collector.h"

#include <fmt/format.h>

namespace bissl::host::test {
namespace {

LoadProblem register_failed(const std::string& found) {
  return {"",
          "register",
          "register_failed",
          found,
          "a registration without errors",
          "correct the registration function of the library, or ask its author to"};
}

TEST(PluginRegistration, ThrowsAfterRegisteringSomething) {
  expect_refusal(fixture("throws_std"),
                 register_failed("the error \"the table of kernels is empty\""));
}

TEST(PluginRegistration, ThrowsForeign) {
  expect_refusal(fixture("throws_foreign"),
                 register_failed("the error \"an exception that is not a std::exception\""));
}

TEST(PluginRegistration, LetsAnExceptionOut) {
  expect_refusal(fixture("leaks_exception"),
                 register_failed("an exception that left the library and is not a std::exception"));
}

TEST(PluginRegistration, ReturnsAnError) {
  expect_refusal(fixture("returns_error"), register_failed("the error \"no accelerator\""));
  expect_refusal(fixture("returns_number"), register_failed("the return value 7 and no reason"));
}

TEST(PluginRegistration, RegistersNothing) {
  expect_refusal(
      fixture("no_components"),
      {"", "register", "no_components", "a registration of nothing", "at least one component",
       "call registrar.add in the body of BISSL_PLUGIN, or take the library away"});
}

TEST(PluginRegistration, FaultyDeclaration) {
  expect_refusal(fixture("bad_declaration"),
                 {"", "register", "bad_declaration",
                  "optimizer \"faulty\" declared with faults: parameter \"lr\": the default -1.0 "
                  "is out of bounds; parameter \"nesterov\": no documentation; parameter "
                  "\"Steps\": the name is not in lower_case",
                  "a sound declaration", "correct the declaration in the library's sources"});
}

TEST(PluginRegistration, BadComponentName) {
  expect_refusal(fixture("bad_component_name"),
                 {"", "register", "bad_declaration",
                  "optimizer \"Still_2\" declared with faults: the name is not of lower-case "
                  "letters, digits and hyphens; no summary",
                  "a sound declaration", "correct the declaration in the library's sources"});
}

TEST(PluginRegistration, TasksSayWhatTheyTakeAndOthersDoNot) {
  const auto refusal = [](ComponentKind kind, std::vector<TargetKind> takes) -> std::string {
    ComponentInfo info;
    info.kind = kind;
    info.text = {"x", "does nothing", "", std::move(takes)};
    info.create = [](const ParameterValues&, const void*) { return nullptr; };
    Collector collector({}, [](ComponentKind, const std::string&) { return nullptr; });
    try {
      collector.add(std::move(info));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(ComponentKind::downstream, {TargetKind::values, TargetKind::category}), "");
  EXPECT_EQ(refusal(ComponentKind::dataset, {}), "");
  EXPECT_NE(refusal(ComponentKind::downstream, {}).find("it takes no kind of target"),
            std::string::npos);
  EXPECT_NE(refusal(ComponentKind::dataset, {TargetKind::values})
                .find("only downstream and pretext tasks take targets"),
            std::string::npos);
}

TEST(PluginRegistration, NameTwiceInOneLibrary) {
  const std::string path = fixture("duplicate_within").string();
  expect_refusal(
      path,
      {"", "register", "duplicate_component", "a second optimizer \"twin\" in the same library",
       "names that are used once for each kind", "rename one of the two in the library's sources"});
}

class SecondLibrary : public testing::TestWithParam<bool> {
 protected:
  SecondLibrary() { EXPECT_TRUE(registry_.load_library(fixture("good"), true)); }

  /// What is reported of the optimizer `still` of another library.
  static LoadProblem taken(const std::string& path) {
    return {
        path,
        "register",
        "name_taken",
        fmt::format("a second optimizer \"still\"; the first is in {}", fixture("good").string()),
        "names that are used once for each kind",
        "rename one of the two, or load only the library whose component you want"};
  }

  Registry registry_;
};

TEST_P(SecondLibrary, NameOfAnotherLeavesThatComponentOut) {
  const std::string path = fixture("duplicate_component").string();
  EXPECT_TRUE(registry_.load_library(path, GetParam()));
  EXPECT_EQ(registry_.report().problems, std::vector<LoadProblem>{taken(path)});
  EXPECT_EQ(registry_.report().problems[0].message().find(
                path + ": one component left out (register, name_taken): found a second optimizer"),
            0U);
  EXPECT_EQ(registry_.report().loaded.back(), path);
  EXPECT_NE(registry_.find(ComponentKind::optimizer, "never-seen"), nullptr);
  EXPECT_EQ(registry_.find(ComponentKind::optimizer, "still")->library.name, "good");
  EXPECT_EQ(registry_.find(ComponentKind::optimizer, "duplicate-component/still"), nullptr);
}

TEST_P(SecondLibrary, NothingButNamesOfOthersIsRefused) {
  const std::string path = fixture("only_taken_names").string();
  EXPECT_FALSE(registry_.load_library(path, GetParam()));
  const LoadProblem expected{
      path,
      "register",
      "no_components",
      "only names that are taken: " + taken(path).found,
      "at least one component whose name is free",
      "rename its components, or load only the library whose components you want"};
  EXPECT_EQ(registry_.report().problems, std::vector<LoadProblem>{expected});
  EXPECT_EQ(registry_.report().loaded.size(), 1U);
  EXPECT_EQ(registry_.libraries().size(), 1U);
}

TEST_P(SecondLibrary, PluginNameOfAnother) {
  const std::string path = fixture("same_plugin_name").string();
  EXPECT_FALSE(registry_.load_library(path, GetParam()));
  const LoadProblem expected{path,
                             "stamp",
                             "duplicate_plugin",
                             fmt::format("a second plugin \"good\", in {}; the first is in {}",
                                         path, fixture("good").string()),
                             "plugin names that are used once",
                             "rename one of the two, or load only one of the libraries"};
  EXPECT_EQ(registry_.report().problems, std::vector<LoadProblem>{expected});
  EXPECT_EQ(registry_.components().size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Trust, SecondLibrary, testing::Bool(),
                         [](const auto& info) { return info.param ? "Trusted" : "Untrusted"; });

}  // namespace
}  // namespace bissl::host::test
