#pragma once

#include "shard_names.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

/// Which members of a sample are its image and its class.
struct ShardMembers {
  std::vector<std::string> images;  ///< extensions without the dot, lower case; the first counts
  std::string label;                ///< an extension; empty for none
};

/// A tar file that is read: the shard itself, or what a compressed one was unpacked to.
struct OpenShard {
  std::filesystem::path path;
  uint64_t size = 0;
  int64_t changed_ns = 0;
};

/// Where a sample lies.
struct ShardSample {
  uint32_t shard = 0;
  uint64_t offset = 0;  ///< of the image's bytes
  uint64_t size = 0;
};

/// All samples of all shards in their order.
struct ShardIndex {
  std::vector<OpenShard> shards;
  std::vector<ShardSample> samples;
  /// What the label members say, without white space at the ends, one a sample; empty if no sample
  /// has one.
  std::vector<std::string> labels;
  /// The keys of all samples, each ended by a zero, and where each begins.
  std::string keys;
  std::vector<uint64_t> key_starts;

  const char* key(size_t sample) const { return keys.c_str() + key_starts[sample]; }
};

/// Reads the headers of all members and the labels. Members of one sample stand beside each other
/// and have one name up to the first dot of its last part; members without a dot and hidden ones
/// are passed over. A compressed shard is unpacked into `cache` first, once (Error(input) where
/// that is empty): a file there is called by a hash of path, size and time of the last change,
/// several processes may unpack at once, and what is there may be removed when no process reads it.
/// Throws Error(ErrorKind::input) for an archive that list_tar refuses, a sample without an image
/// or with two members of one extension, and labels that only some samples have.
ShardIndex index_shards(const std::vector<ShardFile>& files, const ShardMembers& members,
                        const std::filesystem::path& cache);

/// Opens the shard of a sample and reads its image's bytes.
/// Throws Error(ErrorKind::input) if the file has changed since it was indexed.
std::string read_sample(const ShardIndex& index, const ShardSample& sample);

/// A sample as errors call it: the shard and the place of the image in it.
std::string describe_sample(const ShardIndex& index, const ShardSample& sample);

}  // namespace bissl
