#include "data/catalog.h"

#include "fake_data.h"

#include <gtest/gtest.h>

namespace bissl::host {
namespace {

using test::error_of;
using test::FakeDataset;

/// A pipeline over a dataset component that counts how often it is made.
class CatalogTest : public ::testing::Test {
 protected:
  CatalogTest() {
    component_->info.kind = ComponentKind::dataset;
    component_->info.text.name = "fake";
    component_->library.name = "fakes";
    component_->library.path = "/lib/fakes.so";
    component_->info.create = [this](const ParameterValues& values,
                                     const void* /*context*/) -> std::shared_ptr<void> {
      ++made_;
      if (std::get<std::string>(values.at("root")) == "nowhere") {
        fail_input("there is no folder nowhere");
      }
      last_ = std::make_shared<FakeDataset>(std::vector<int64_t>{0, 1, 0, 1, 0},
                                            std::vector<std::string>{"cat", "dog"});
      return std::static_pointer_cast<void>(std::static_pointer_cast<Dataset>(last_));
    };
  }

  void add(const std::string& name, const std::string& root,
           const std::vector<std::string>& classes = {}) {
    DataSource source;
    source.name = name;
    source.dataset = {component_, {{"root", root}}, "p.toml:3:9"};
    source.selection.values = defaults(selection_schema().specs());
    if (!classes.empty()) {
      source.selection.values["classes"] = classes;
    }
    pipeline_.data.push_back(std::move(source));
  }

  std::shared_ptr<RegisteredComponent> component_ = std::make_shared<RegisteredComponent>();
  Pipeline pipeline_;
  std::shared_ptr<FakeDataset> last_;
  int made_ = 0;
};

TEST_F(CatalogTest, AsksADatasetOnceForItsFingerprint) {
  add("all", "here");
  add("cats", "here", {"cat"});
  const auto datasets = std::make_shared<DatasetCache>();
  DataCatalog catalog(pipeline_, datasets);
  EXPECT_EQ(catalog.open("all")->fingerprint(), "fake");
  EXPECT_EQ(catalog.open("cats")->fingerprint(), "fake");
  EXPECT_EQ(DataCatalog(pipeline_, datasets).open("all")->fingerprint(), "fake");
  EXPECT_EQ(last_->fingerprints, 1);
}

TEST_F(CatalogTest, OpensADatasetOnceForAllSourcesThatNameIt) {
  add("all", "here");
  add("cats", "here", {"cat"});
  add("elsewhere", "there");
  DataCatalog catalog(pipeline_);
  EXPECT_EQ(made_, 0) << "nothing is opened before it is asked for";
  EXPECT_EQ(catalog.open("all")->size(), 5);
  EXPECT_EQ(catalog.open("cats")->size(), 3);
  EXPECT_EQ(made_, 1);
  EXPECT_EQ(catalog.open("all"), catalog.open("all"));
  catalog.open("elsewhere");
  EXPECT_EQ(made_, 2) << "other parameters are another dataset";
}

TEST_F(CatalogTest, NamesTheSourceTheComponentAndTheLineInErrors) {
  add("broken", "nowhere");
  DataCatalog catalog(pipeline_);
  const std::string error = error_of([&] { catalog.open("broken"); });
  for (const char* part : {"data.broken", "p.toml:3:9", "dataset fake", "/lib/fakes.so",
                           "there is no folder nowhere"}) {
    EXPECT_NE(error.find(part), std::string::npos) << part << "\n" << error;
  }
  EXPECT_NE(error_of([&] { catalog.open("broken"); }), "no error") << "nor the second time";
  add("l-1.0", "nowhere");
  const std::string dotted = error_of([&] { DataCatalog(pipeline_).open("l-1.0"); });
  EXPECT_NE(dotted.find("data.\"l-1.0\" (p.toml:3:9)"), std::string::npos) << dotted;
}

}  // namespace
}  // namespace bissl::host
