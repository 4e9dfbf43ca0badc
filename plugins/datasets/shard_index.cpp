#include "shard_index.h"

#include "file_access.h"
#include "inflate.h"
#include "tar_reader.h"

#include "bissl/error.h"
#include "bissl/hash.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace bissl {
namespace {

namespace fs = std::filesystem;

/// Of a label's member: a class is a number or a name.
constexpr uint64_t longest_label = 1000;

/// Held while a shard is unpacked, so that other processes wait for it and do not unpack it, too.
class UnpackLock {
 public:
  explicit UnpackLock(const std::string& file)
      : descriptor_(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) {
      fail_run("{}: cannot be opened: {}", file, std::generic_category().message(errno));
    }
    while (flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~UnpackLock() { close(descriptor_); }
  UnpackLock(const UnpackLock&) = delete;
  UnpackLock& operator=(const UnpackLock&) = delete;

 private:
  int descriptor_;
};

/// The unpacked form of a compressed shard.
fs::path unpacked(const fs::path& shard, const fs::path& cache) {
  if (cache.empty()) {
    fail_input(
        "{}: there is no folder to unpack it into: name one by `cache`, or set $XDG_CACHE_HOME or "
        "$HOME to an absolute path",
        shard.string());
  }
  const RandomAccessFile file(shard);
  const std::string name =
      hash_hex(fmt::format("{}\n{}\n{}", shard.string(), file.size(), file.changed_ns()));
  const fs::path target = cache / (name + ".tar");
  std::error_code error;
  if (fs::exists(target, error)) {
    return target;
  }
  fs::create_directories(cache, error);
  if (error) {
    fail_run("{}: cannot be made to unpack {} into it: {}; set `cache` to a folder that can",
             cache.string(), shard.string(), error.message());
  }
  const UnpackLock lock((cache / (name + ".lock")).string());
  if (!fs::exists(target, error)) {
    unpack_gzip(shard, target);
  }
  return target;
}

/// A name in its two parts at the first dot behind the last slash.
struct MemberName {
  std::string_view key;
  std::string extension;  ///< lower case; empty where there is no dot
};

MemberName split_name(std::string_view name) {
  const size_t begin = name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/') + 1;
  const size_t dot = name.find('.', begin);
  if (dot == std::string_view::npos || dot == begin) {
    return {name, ""};
  }
  std::string extension(name.substr(dot + 1));
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return {name.substr(0, dot), std::move(extension)};
}

std::string trimmed(const std::string& text) {
  const char* const blanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(blanks);
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

/// The first of names of which there may be very many.
std::string first_of(const std::set<std::string>& names) {
  constexpr size_t most = 8;
  std::vector<std::string> first;
  for (const std::string& name : names) {
    if (first.size() == most) {
      break;
    }
    first.push_back(name);
  }
  return fmt::format("{}{}", fmt::join(first, ", "),
                     names.size() > most ? fmt::format(" and {} more", names.size() - most) : "");
}

/// Puts the members of one shard together to samples.
class ShardScan {
 public:
  ShardScan(ShardIndex& index, const ShardMembers& members, const RandomAccessFile& archive,
            std::string shard)
      : index_(index), members_(members), archive_(archive), shard_(std::move(shard)) {}

  void run() {
    const size_t before = index_.samples.size();
    list_tar(archive_, [this](const TarMember& member) { take(member); });
    finish();
    if (index_.samples.size() == before) {
      fail_input("{}: holds no sample; expected members KEY.EXTENSION", shard_);
    }
  }

 private:
  void take(const TarMember& member) {
    const MemberName name = split_name(member.name);
    if (name.extension.empty()) {
      return;
    }
    if (name.key != key_) {
      finish();
      key_ = name.key;
    }
    if (!extensions_.insert(name.extension).second) {
      fail_input("{}: sample \"{}\" has two members \"{}\"", shard_, key_, name.extension);
    }
    const auto found = std::find(members_.images.begin(), members_.images.end(), name.extension);
    if (found != members_.images.end() && found - members_.images.begin() < rank_) {
      rank_ = found - members_.images.begin();
      sample_ = {static_cast<uint32_t>(index_.shards.size() - 1), member.offset, member.size};
    }
    if (!members_.label.empty() && name.extension == members_.label) {
      read_label(member);
    }
  }

  void read_label(const TarMember& member) {
    if (member.size > longest_label) {
      fail_input("{}: the label {} has {} bytes; expected the number or the name of a class",
                 shard_, member.name, member.size);
    }
    std::string text(static_cast<size_t>(member.size), '\0');
    archive_.read(member.offset, text.data(), text.size());
    label_ = trimmed(text);
    if (label_.empty()) {
      fail_input("{}: the label {} is empty", shard_, member.name);
    }
  }

  void finish() {
    if (extensions_.empty()) {
      return;
    }
    if (rank_ == no_image) {
      fail_input(
          "{}: sample \"{}\" has no image: found {}, expected one of {}. Members of one sample "
          "must stand beside each other; `image` says which extensions are images",
          shard_, key_, first_of(extensions_), fmt::join(members_.images, ", "));
    }
    const bool any_labels = !index_.labels.empty();
    if (!index_.samples.empty() && any_labels == label_.empty()) {
      fail_input(
          "{}: sample \"{}\" has {} member \"{}\", unlike those before it; either all samples "
          "have a label or none. label = \"\" reads none",
          shard_, key_, label_.empty() ? "no" : "a", members_.label);
    }
    index_.samples.push_back(sample_);
    index_.key_starts.push_back(index_.keys.size());
    index_.keys.append(key_).push_back('\0');
    if (!label_.empty()) {
      index_.labels.push_back(std::move(label_));
    }
    extensions_.clear();
    label_.clear();
    rank_ = no_image;
  }

  static constexpr std::ptrdiff_t no_image = 1'000'000;

  ShardIndex& index_;
  const ShardMembers& members_;
  const RandomAccessFile& archive_;
  std::string shard_;
  std::string key_;
  std::set<std::string> extensions_;  ///< of the present sample
  std::string label_;
  std::ptrdiff_t rank_ = no_image;
  ShardSample sample_;
};

}  // namespace

ShardIndex index_shards(const std::vector<ShardFile>& files, const ShardMembers& members,
                        const fs::path& cache) {
  ShardIndex index;
  for (const ShardFile& file : files) {
    const RandomAccessFile archive(is_gzip(file.path) ? unpacked(file.path, cache) : file.path);
    index.shards.push_back({archive.path(), archive.size(), archive.changed_ns()});
    ShardScan(index, members, archive, file.path.string()).run();
  }
  index.samples.shrink_to_fit();
  index.keys.shrink_to_fit();
  index.key_starts.shrink_to_fit();
  return index;
}

std::string read_sample(const ShardIndex& index, const ShardSample& sample) {
  const OpenShard& shard = index.shards[sample.shard];
  const RandomAccessFile file(shard.path);
  if (file.size() != shard.size || file.changed_ns() != shard.changed_ns) {
    fail_input("{}: has changed since its members were listed; start again", shard.path.string());
  }
  std::string bytes(static_cast<size_t>(sample.size), '\0');
  file.read(sample.offset, bytes.data(), bytes.size());
  return bytes;
}

std::string describe_sample(const ShardIndex& index, const ShardSample& sample) {
  return fmt::format("{}, member at byte {}", index.shards[sample.shard].path.string(),
                     sample.offset);
}

}  // namespace bissl
