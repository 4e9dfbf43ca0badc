#pragma once

#include "pipeline/lock.h"
#include "pipeline/reader.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace bissl::host::test {

/// Components without libraries, for tests of the reader.
class FakeComponents : public ComponentSource {
 public:
  FakeComponents();

  std::shared_ptr<const RegisteredComponent> find(ComponentKind kind,
                                                  const std::string& name) const override;
  std::vector<std::shared_ptr<const RegisteredComponent>> components() const override {
    return components_;
  }
  std::vector<FolderProblem> add_folder(const std::filesystem::path& folder) override;
  std::vector<std::string> refused() const override { return refused_; }

  void add(ComponentKind kind, const std::string& library, const std::string& name,
           std::vector<ParameterSpec> parameters = {},
           std::function<std::vector<Finding>(const ParameterValues&)> check = nullptr);
  void add_renamed(ComponentKind kind, const std::string& library, const std::string& name,
                   std::vector<std::string> formerly);
  /// What a later add_folder of this path makes available.
  void offer(const std::filesystem::path& folder, ComponentKind kind, const std::string& name);
  void set_version(const std::string& library, const std::string& version);
  /// Makes add_folder of this path report a refused library.
  void spoil(const std::filesystem::path& folder, const std::string& library);

  std::vector<std::filesystem::path> asked_folders;

 private:
  std::vector<std::shared_ptr<const RegisteredComponent>> components_;
  std::map<std::filesystem::path, std::pair<ComponentKind, std::string>> offers_;
  std::map<std::filesystem::path, std::string> spoilt_;
  std::vector<std::string> refused_;
};

/// Kinds like the real ones: pretrain, bissl (inherits `lower` from pretrain), finetune, knn.
std::vector<StageKindSpec> stage_kinds();

/// A parameter with this default.
ParameterSpec parameter(const std::string& name, Value value);
TableSpec data_selection();

/// A folder for pipeline files, and the reader over it.
class PipelineTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    write_file(folder_.path() / name, text);
  }
  ReadResult read(const std::vector<std::string>& overrides = {},
                  const std::string& name = "p.toml");
  /// Writes p.toml and reads it.
  ReadResult read_text(const std::string& text, const std::vector<std::string>& overrides = {});
  /// As read_text, for a text that has to be sound.
  Pipeline sound(const std::string& text, const std::vector<std::string>& overrides = {});
  /// The diagnostics as lines, without the folder.
  std::vector<std::string> lines(const ReadResult& result) const;
  std::vector<std::string> faults_of(const std::string& text,
                                     const std::vector<std::string>& overrides = {}) {
    return lines(read_text(text, overrides));
  }

  TemporaryFolder folder_;
  FakeComponents components_;
  std::vector<StageKindSpec> kinds_ = stage_kinds();
  TableSpec selection_ = data_selection();
};

using Lines = std::vector<std::string>;

/// name, data source "train" and backbone: what every pipeline needs before its stages. 5 lines.
extern const char* const head;
/// A pretrain stage behind `head`: lines 6 to 13.
extern const char* const pretrain;

}  // namespace bissl::host::test
