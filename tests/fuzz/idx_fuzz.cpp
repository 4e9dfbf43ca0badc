#include "../../plugins/datasets/idx_reader.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_idx(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "train-images-idx3-ubyte";
  write_file(file, std::string(bytes));
  for (const size_t dimensions : {1U, 3U}) {
    refusing([&] {
      const IdxArray array = read_idx(file, dimensions, "images");
      size_t product = 1;
      for (const int64_t dimension : array.dimensions) {
        product *= static_cast<size_t>(dimension);
      }
      promise(array.dimensions.size() == dimensions && product == array.bytes.size(),
              "an array has as many bytes as its dimensions say");
    });
  }
}

}  // namespace bissl::host::test
