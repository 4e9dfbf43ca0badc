#include "store/checkpoint.h"
#include "store/safetensors.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_safetensors(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / checkpoint_file;
  write_file(file, std::string(bytes));
  refusing([&] {
    for (const auto& [name, tensor] : read_safetensors(file).tensors) {
      promise(tensor.defined() && tensor.is_contiguous(), "tensors are whole");
    }
  });
  refusing([&] { load_checkpoint(folder.path()); });
}

}  // namespace bissl::host::test
