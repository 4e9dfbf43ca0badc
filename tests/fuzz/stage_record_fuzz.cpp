#include "store/stage_record.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_stage_record(std::string_view bytes) {
  const TemporaryFolder folder;
  write_file(folder.path() / stage_record_file, std::string(bytes));
  refusing([&] {
    const StageRecord record = read_stage_record(folder.path());
    damage_at_a_glance(folder.path(), record.key);
    damage_in_depth(folder.path(), record.key);
    promise(damage_at_a_glance(folder.path(), record.key + "0").has_value(),
            "a record of another key is damage");
  });
}

}  // namespace bissl::host::test
