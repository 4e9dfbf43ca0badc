#pragma once

#include "bissl/data_notes.h"
#include "bissl/dataset.h"
#include "plugins/datasets/refusals.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host::test {

/// The plugin, loaded once.
inline const PluginLibrary& image_folder_library() {
  static const PluginLibrary loaded("image-folder");
  return loaded;
}

/// A gray image of 2 × 1 pixels of one value.
inline std::string gray_image(int value) {
  return "P5 2 1 255\n" + std::string(2, static_cast<char>(value));
}

/// A folder for images, and the dataset that reads them.
class ImageFolderTest : public testing::Test {
 protected:
  std::filesystem::path root() const { return folder_.path() / "photos"; }
  void write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((root() / name).parent_path());
    write_file(root() / name, content);
  }
  void image(const std::string& name, int value) const { write(name, gray_image(value)); }

  std::shared_ptr<Dataset> open(ParameterValues values = {}) const {
    values.try_emplace("root", root().string());
    values.try_emplace("channels", std::string("as-file"));
    return image_folder_library().make<Dataset>("image-folder", values);
  }
  std::string shortened(const std::string& text) const {
    return without_folder(text, folder_.path());
  }
  std::string refusal(const ParameterValues& values = {}) const {
    return refusal_in(folder_.path(), [&] { open(values); });
  }
  std::string refusal_of_sample(const Dataset& dataset, int64_t index) const {
    return refusal_in(folder_.path(), [&] { dataset.get(index); });
  }

  std::vector<std::string> notes_of(Dataset& dataset) const {
    std::vector<std::string> notes = capability<DataNotes>(dataset)->notes();
    for (std::string& note : notes) {
      note = shortened(note);
    }
    return notes;
  }

  TemporaryFolder folder_;
};

/// The first value of each image.
inline std::vector<int> values_of(const Dataset& dataset) {
  std::vector<int> values;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    values.push_back(dataset.get(i).image.pixels[0]);
  }
  return values;
}

}  // namespace bissl::host::test
