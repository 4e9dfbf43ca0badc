// What a lock file notes of the files that components name.

#include "stages/identity.h"

#include "pipeline/diagnostics.h"
#include "pipeline/toml_parser.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

namespace bissl::host::test {
namespace {

/// A component with two files.
ComponentChoice reading(ComponentKind kind, const std::string& first, const std::string& second) {
  auto component = std::make_shared<RegisteredComponent>();
  component->info.kind = kind;
  component->info.text.name = "reading";
  for (const char* name : {"first", "second"}) {
    ParameterSpec spec;
    spec.name = name;
    spec.type = ValueType::string;
    spec.default_value = std::string();
    spec.traits["path"] = true;
    component->info.parameters.push_back(std::move(spec));
  }
  component->library = {"/lib/reads.so", "reads", "1.0.0", "MIT"};
  return {std::move(component), {{"first", first}, {"second", second}}, "p.toml:1:1"};
}

TEST(LockNotes, FilesHaveNamesOfTheirOwn) {
  const TemporaryFolder folder;
  const auto file = [&](const std::string& name) { return (folder.path() / name).string(); };
  write_file(file("one"), "1");
  write_file(file("two"), "2");
  Pipeline pipeline;
  pipeline.name = "p";
  pipeline.backbone = reading(ComponentKind::backbone, file("one"), file("two"));
  Stage stage;
  stage.name = "s";
  stage.kind = "pretrain";
  stage.table.components["optimizer"] = reading(ComponentKind::optimizer, file("two"), "");
  pipeline.stages.push_back(stage);
  const auto lock_of = [](const Pipeline& of) {
    DataCatalog data(of, std::make_shared<DatasetCache>(ContentHashes(std::filesystem::path())));
    return lock_text(of, data);
  };
  const std::string lock = lock_of(pipeline);
  DiagnosticCollector faults;
  const auto read = parse_toml(lock, "lock", faults);
  ASSERT_TRUE(read) << lock;
  for (const char* note : {"\"hash of a file of stage.s\"", "\"hash of file 2 of stage.s\"",
                           "\"hash of stage.s.optimizer.first\""}) {
    EXPECT_NE(lock.find(std::string(note) + " = "), std::string::npos) << note << "\n" << lock;
  }

  const auto is_lock = [&](const Pipeline& of) {
    DataCatalog data(of, std::make_shared<DatasetCache>(ContentHashes(std::filesystem::path())));
    return is_lock_of(lock, of, data);
  };
  EXPECT_TRUE(is_lock(pipeline));
  Pipeline other = pipeline;
  std::filesystem::copy_file(file("two"), file("copy"));
  other.stages[0].table.components["optimizer"].values["first"] = file("copy");
  EXPECT_TRUE(is_lock(other)) << "the file lies elsewhere";
  write_file(file("copy"), "3");
  EXPECT_FALSE(is_lock(other)) << "the file has another content";
}

}  // namespace
}  // namespace bissl::host::test
