#pragma once

#include "bissl/dataset.h"
#include "refusals.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

namespace bissl::host::test {

/// A folder for the files of a dataset, and the plugin that reads them.
class DatasetFolder : public testing::Test {
 protected:
  explicit DatasetFolder(const std::string& plugin) : library_(plugin) {}

  std::shared_ptr<Dataset> open(const std::string& name, ParameterValues values = {}) const {
    values.emplace("root", root().string());
    return library_.make<Dataset>(name, values);
  }
  std::string refusal(const std::string& name, const ParameterValues& values = {}) const {
    return refusal_in(root(), [&] { open(name, values); });
  }
  std::filesystem::path root() const { return folder_.path(); }
  void write(const std::string& name, const std::string& content) const {
    write_file(root() / name, content);
  }
  std::string read(const std::string& name) const { return read_file(root() / name); }

  PluginLibrary library_;
  TemporaryFolder folder_;
};

}  // namespace bissl::host::test
