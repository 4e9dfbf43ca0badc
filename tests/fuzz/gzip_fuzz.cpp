#include "inflate.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_gzip(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto packed = folder.path() / "shard.tar.gz";
  const auto unpacked = folder.path() / "shard.tar";
  write_file(packed, std::string(bytes));
  bool refused = true;
  refusing([&] {
    unpack_gzip(packed, unpacked);
    refused = false;
  });
  promise(std::filesystem::exists(unpacked) != refused, "what is refused leaves no file");
  promise(!refused || is_gzip(packed) == (bytes.substr(0, 2) == "\x1f\x8b"),
          "a gzip file is known by its first bytes");
}

}  // namespace bissl::host::test
