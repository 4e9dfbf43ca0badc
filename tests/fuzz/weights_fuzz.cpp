#include "weights/pickle.h"
#include "weights/weights_file.h"

#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_pickle(std::string_view bytes) {
  refusing([&] {
    const PickleTree tree = read_pickle(bytes);
    promise(tree.root < tree.values.size(), "the root is a value");
    for (const PickleValue& value : tree.values) {
      for (const PickleId item : value.items) {
        promise(item < tree.values.size(), "items are values");
      }
      promise(value.kind != PickleKind::tensor ||
                  static_cast<size_t>(value.integer) < tree.tensors.size(),
              "tensors are listed");
    }
    for (const PickleTensor& tensor : tree.tensors) {
      promise(tensor.storage < tree.storages.size(), "storages are listed");
    }
  });
}

void fuzz_weights(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "weights.pth";
  write_file(path, std::string(bytes));
  refusing([&] {
    const WeightsFile file(path);
    for (const StateDict& dict : file.dicts()) {
      for (const StoredTensor& stored : dict.tensors) {
        // A view without strides may be of any size; nobody reads one that has not the network's.
        int64_t elements = 1;
        for (const int64_t size : stored.shape) {
          elements = size > 0 && elements < 1'000'000 ? elements * size : elements;
        }
        if (elements < 1'000'000) {
          refusing([&] {
            const at::Tensor tensor = file.read(stored);
            promise(tensor.is_contiguous() && tensor.sizes().vec() == stored.shape,
                    "tensors are whole");
          });
        }
      }
    }
  });
}

}  // namespace bissl::host::test
