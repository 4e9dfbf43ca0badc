#include "pickle_reader.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_cifar_pickle(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "data_batch_1";
  write_file(file, std::string(bytes));
  refusing([&] {
    const Pickle pickle(file);
    for (const char* const key : {"data", "labels", "filenames", "label_names"}) {
      const PickleValue* const value = pickle.find(pickle.root(), key);
      if (value == nullptr) {
        continue;
      }
      for (const uint32_t place : value->items) {
        pickle.at(place);
      }
      refusing([&] { pickle.integers(*value, key); });
      refusing([&] { pickle.texts(*value, key); });
    }
  });
}

}  // namespace bissl::host::test
