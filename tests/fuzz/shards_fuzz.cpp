#include "../../plugins/datasets/shard_index.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_shards(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "shard.tar";
  write_file(file, std::string(bytes));
  ShardMembers members;
  members.images = {"jpg", "png"};
  members.label = "cls";
  refusing([&] {
    const ShardIndex index =
        index_shards({ShardFile{file, "shard.tar"}}, members, folder.path() / "cache");
    promise(!index.samples.empty(), "a shard without samples is refused");
    promise(index.labels.empty() || index.labels.size() == index.samples.size(),
            "all samples have a label or none");
    promise(index.key_starts.size() == index.samples.size(), "each sample has a key");
    const uint64_t size = index.shards.front().size;
    for (size_t i = 0; i < index.samples.size(); ++i) {
      const ShardSample& sample = index.samples[i];
      promise(sample.shard == 0 && sample.offset <= size && sample.size <= size - sample.offset,
              "a sample's bytes are in the archive");
      promise(index.key_starts[i] < index.keys.size(), "a key is among the keys");
      promise(read_sample(index, sample).size() == sample.size, "a sample is read whole");
    }
  });
}

}  // namespace bissl::host::test
