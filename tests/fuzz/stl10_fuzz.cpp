#include "bissl/dataset.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

/// The bytes are in turn the labels, the names of the classes, the folds and the pixels.
void fuzz_stl10(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, std::string_view content) {
    write_file(folder.path() / name, std::string(content));
  };
  std::string folds;
  for (int i = 0; i < 10; ++i) {
    folds += "0 1\n";
  }
  const std::string images(size_t{2} * 27648, '\7');
  for (const char* given : {"train_y.bin", "class_names.txt", "fold_indices.txt", "train_X.bin"}) {
    write("train_X.bin", images);
    write("train_y.bin", "\1\2");
    write("class_names.txt", "airplane\nbird\n");
    write("fold_indices.txt", folds);
    write(given, bytes);
    refusing([&] {
      const auto data = shared_library("stl10").make<Dataset>(
          "stl10", {{"root", folder.path().string()}, {"fold", int64_t{3}}});
      for (int64_t i = 0; i < data->size() && i < 4; ++i) {
        const auto names = static_cast<int64_t>(data->targets().names.size());
        promise(data->target(i).category < names, "labels are those of classes");
        promise(data->get(i).image.shape == ImageShape{3, 96, 96}, "images of 96 x 96 pixels");
      }
    });
  }
}

}  // namespace bissl::host::test
