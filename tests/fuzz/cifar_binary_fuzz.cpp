#include "../../plugins/datasets/cifar_files.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_cifar_binary(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto batch = folder.path() / "data_batch_1.bin";
  const auto names = folder.path() / "batches.meta.txt";
  const auto read = [&](const CifarLabels& labels) {
    refusing([&] {
      const ImageBlock block = read_cifar({.batches = {batch}, .names = names}, labels);
      promise(
          block.pixels.size() == block.labels.size() * static_cast<size_t>(block.shape.elements()),
          "each label has an image");
      for (const uint8_t label : block.labels) {
        promise(label < block.class_names.size(), "labels are those of classes");
      }
    });
  };
  write_file(batch, std::string(bytes));
  write_file(names, "airplane\nautomobile\nbird\n");
  read({.key = "labels", .names_key = "label_names"});
  read({.key = "fine_labels", .names_key = "names", .label_bytes = 2, .label_place = 1});
  write_file(names, std::string(bytes));
  write_file(batch, std::string(3073, '\1'));
  read({.key = "labels", .names_key = "label_names"});
}

}  // namespace bissl::host::test
