#include "bissl/dataset.h"
#include "dataset_trees.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

/// The bytes are the mask of the first of three images.
void fuzz_mask(std::string_view bytes) {
  struct Tree {
    TemporaryFolder folder;
    Tree() { make_masks(folder.path()); }
  };
  static const Tree tree;
  write_file(tree.folder.path() / "masks/a.png", std::string(bytes));
  const auto data = shared_library("image-layouts")
                        .make<Dataset>("masks", {{"root", tree.folder.path().string()}});
  refusing([&] {
    const Sample sample = data->get(0);
    const Image& mask = sample.target.mask;
    promise(mask.shape == ImageShape{1, sample.image.shape.height, sample.image.shape.width},
            "a mask has one channel and its image's size");
    const auto classes = static_cast<int64_t>(data->targets().names.size());
    for (int64_t i = 0; i < mask.shape.elements(); ++i) {
      promise(mask.pixels[i] < classes || mask.pixels[i] == not_counted_pixel,
              "each pixel is of a class, or does not count");
    }
  });
}

}  // namespace bissl::host::test
