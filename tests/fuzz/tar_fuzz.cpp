#include "support/temporary_folder.h"
#include "tar_reader.h"
#include "targets.h"
#include "text_lines.h"

namespace bissl::host::test {

void fuzz_tar(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "shard.tar";
  write_file(file, std::string(bytes));
  refusing([&] {
    const RandomAccessFile archive(file);
    list_tar(archive, [&](const TarMember& member) {
      promise(stays_within(member.name), "a member's name stays within the archive");
      promise(member.offset <= bytes.size() && member.size <= bytes.size() - member.offset,
              "a member's bytes are in the archive");
    });
  });
}

}  // namespace bissl::host::test
