#include "weights/zip_archive.h"

#include "bissl/error.h"
#include "store/safetensors_header.h"
#include "weights/byte_reader.h"

#include <zlib.h>

#include <algorithm>

namespace bissl::host {
namespace {

// APPNOTE.TXT 6.3, sections 4.3.7 to 4.5.3.
constexpr uint32_t local_signature = 0x04034b50;
constexpr uint32_t entry_signature = 0x02014b50;
constexpr uint32_t end_signature = 0x06054b50;
constexpr uint32_t end64_signature = 0x06064b50;
constexpr uint32_t locator_signature = 0x07064b50;
constexpr uint64_t end_size = 22;
constexpr uint64_t locator_size = 20;
constexpr uint64_t end64_size = 56;
constexpr uint64_t local_size = 30;
constexpr uint64_t entry_size = 46;
constexpr uint64_t longest_comment = 0xffff;
constexpr uint32_t in_zip64 = 0xffffffff;
constexpr uint16_t zip64_field = 1;
constexpr uint16_t encrypted_flag = 1;

// A network of a thousand layers has some ten thousand records.
constexpr uint64_t most_records = 1'000'000;
constexpr uint64_t largest_directory = 256ULL << 20;

/// What a directory's entry says of a record, sizes as the directory has them.
struct Entry {
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t checksum = 0;
  uint64_t stored = 0;
  uint64_t size = 0;
  uint64_t header = 0;
  std::string name;
};

/// Puts the 64-bit numbers in the place of those that say "see there".
void read_extra(Entry& entry, std::string_view extra) {
  ByteReader fields(extra, "an extra field of the directory");
  while (fields.left() >= 4) {
    const auto kind = fields.number<uint16_t>();
    ByteReader field(fields.take(fields.number<uint16_t>()), "a ZIP64 field of the directory");
    if (kind != zip64_field) {
      continue;
    }
    for (uint64_t* number : {&entry.size, &entry.stored, &entry.header}) {
      if (*number == in_zip64) {
        *number = field.number<uint64_t>();
      }
    }
    return;
  }
}

Entry read_entry(ByteReader& directory) {
  if (directory.number<uint32_t>() != entry_signature) {
    fail_input("its directory holds something else than entries; the file is damaged");
  }
  Entry entry;
  directory.take(4);  // versions
  entry.flags = directory.number<uint16_t>();
  entry.method = directory.number<uint16_t>();
  directory.take(4);  // time and date
  entry.checksum = directory.number<uint32_t>();
  entry.stored = directory.number<uint32_t>();
  entry.size = directory.number<uint32_t>();
  const auto name_size = directory.number<uint16_t>();
  const auto extra_size = directory.number<uint16_t>();
  const auto comment_size = directory.number<uint16_t>();
  directory.take(8);  // disk, attributes
  entry.header = directory.number<uint32_t>();
  entry.name = directory.take(name_size);
  read_extra(entry, directory.take(extra_size));
  directory.take(comment_size);
  return entry;
}

void refuse_encrypted(const Entry& entry) {
  if ((entry.flags & encrypted_flag) != 0) {
    fail_input("record {} is encrypted, which PyTorch never writes", shown_name(entry.name));
  }
}

}  // namespace

bool ZipArchive::is_one(const FileDescriptor& open, const std::filesystem::path& file) {
  uint32_t begin = 0;
  return read_at(open, &begin, sizeof(begin), 0, file) == sizeof(begin) && begin == local_signature;
}

ZipArchive::ZipArchive(const FileDescriptor& open, const std::filesystem::path& file)
    : open_(open), file_(file), file_size_(size_of(open, file)) {
  read_directory(find_directory());
}

std::string ZipArchive::bytes(uint64_t begin, uint64_t size, const char* what) const {
  if (begin > file_size_ || size > file_size_ - begin) {
    fail_input("{} should be {} bytes at {}, but the file has only {}; it has been cut short", what,
               size, begin, file_size_);
  }
  std::string content(size, '\0');
  if (read_at(open_, content.data(), size, begin, file_) < size) {
    fail_input("it became shorter while it was read");
  }
  return content;
}

/// The directory's place is at the end of the file, before a comment of unknown length.
ZipArchive::Directory ZipArchive::find_directory() const {
  const uint64_t window = std::min(file_size_, end_size + longest_comment);
  const std::string tail = bytes(file_size_ - window, window, "the archive's end");
  for (uint64_t left = end_size; left <= window; ++left) {
    ByteReader end(std::string_view(tail).substr(window - left), "the archive's end");
    if (end.number<uint32_t>() != end_signature) {
      continue;
    }
    const auto disk = end.number<uint16_t>();
    const auto directory_disk = end.number<uint16_t>();
    end.take(2);
    const auto records = end.number<uint16_t>();
    const auto size = end.number<uint32_t>();
    const auto begin = end.number<uint32_t>();
    if (end.number<uint16_t>() != left - end_size) {
      continue;  // these four bytes belong to something else
    }
    const uint64_t place = file_size_ - left;
    if (place >= locator_size) {
      const std::string locator = bytes(place - locator_size, locator_size, "its ZIP64 locator");
      if (ByteReader(locator, "its ZIP64 locator").number<uint32_t>() == locator_signature) {
        return read_zip64(place - locator_size);
      }
    }
    if (disk != 0 || directory_disk != 0) {
      fail_input("it is one part of an archive that is cut in several");
    }
    return {begin, size, records};
  }
  fail_input(
      "it begins as a ZIP archive and has no directory at its end; it has been cut short, or was "
      "not downloaded to its end");
}

ZipArchive::Directory ZipArchive::read_zip64(uint64_t locator) const {
  const std::string place = bytes(locator, locator_size, "its ZIP64 locator");
  ByteReader fields(place, "its ZIP64 locator");
  fields.take(8);
  const std::string content = bytes(fields.number<uint64_t>(), end64_size, "its ZIP64 end");
  ByteReader end(content, "its ZIP64 end");
  if (end.number<uint32_t>() != end64_signature) {
    fail_input("its ZIP64 locator points to something else; the file is damaged");
  }
  end.take(28);
  Directory directory;
  directory.records = end.number<uint64_t>();
  directory.size = end.number<uint64_t>();
  directory.begin = end.number<uint64_t>();
  return directory;
}

void ZipArchive::read_directory(const Directory& directory) {
  if (directory.records > most_records || directory.size > largest_directory) {
    fail_input("its directory has {} records in {} bytes; at most {} in {} are read",
               directory.records, directory.size, most_records, largest_directory);
  }
  if (directory.records > directory.size / entry_size) {
    fail_input("its directory of {} bytes cannot hold {} records; the file is damaged",
               directory.size, directory.records);
  }
  const std::string content = bytes(directory.begin, directory.size, "its directory");
  ByteReader entries(content, "its directory");
  for (uint64_t i = 0; i < directory.records; ++i) {
    const Entry entry = read_entry(entries);
    refuse_encrypted(entry);
    ZipRecord record{.header = entry.header,
                     .size = entry.stored,
                     .checksum = entry.checksum,
                     .compressed = entry.method != 0 || entry.stored != entry.size};
    find_content(entry.name, record, directory.begin);
    if (!records_.emplace(entry.name, record).second) {
      fail_input("record {} is in the directory twice", shown_name(entry.name));
    }
  }
  refuse_overlaps();
}

/// A record's bytes begin behind its local header, whose length only the header tells.
void ZipArchive::find_content(const std::string& name, ZipRecord& record, uint64_t end) const {
  if (record.header > end || end - record.header < local_size) {
    fail_input("record {} should begin at {}, outside of the {} bytes of records", shown_name(name),
               record.header, end);
  }
  const std::string content = bytes(record.header, local_size, "a record's header");
  ByteReader header(content, "a record's header");
  if (header.number<uint32_t>() != local_signature) {
    fail_input("there is no record at {}, where {} should begin; the file is damaged",
               record.header, shown_name(name));
  }
  header.take(22);
  const auto name_size = header.number<uint16_t>();
  const auto extra_size = header.number<uint16_t>();
  record.begin = record.header + local_size + name_size + extra_size;
  if (record.begin > end || record.size > end - record.begin) {
    fail_input("record {} of {} bytes at {} is longer than what is there; the file is damaged",
               shown_name(name), record.size, record.begin);
  }
  if (name_size != name.size() ||
      bytes(record.header + local_size, name_size, "a record's name") != name) {
    fail_input("the record at {} is not called {}, as the directory says", record.header,
               shown_name(name));
  }
}

void ZipArchive::refuse_overlaps() const {
  std::vector<const std::pair<const std::string, ZipRecord>*> by_place;
  for (const auto& entry : records_) {
    by_place.push_back(&entry);
  }
  std::sort(by_place.begin(), by_place.end(), [](const auto* left, const auto* right) {
    return left->second.header < right->second.header;
  });
  for (size_t i = 1; i < by_place.size(); ++i) {
    const ZipRecord& before = by_place[i - 1]->second;
    if (by_place[i]->second.header < before.begin + before.size) {
      fail_input("records {} and {} overlap, which no writer does",
                 shown_name(by_place[i - 1]->first), shown_name(by_place[i]->first));
    }
  }
}

const ZipRecord* ZipArchive::find(const std::string& name) const {
  const auto found = records_.find(name);
  return found == records_.end() ? nullptr : &found->second;
}

void ZipArchive::require_stored(const std::string& name, const ZipRecord& record) {
  if (record.compressed) {
    fail_input(
        "record {} is compressed, which PyTorch never writes of weights: unpack the archive and "
        "save the weights with torch.save",
        shown_name(name));
  }
}

std::string ZipArchive::read(const std::string& name, uint64_t limit) const {
  const ZipRecord* record = find(name);
  if (record == nullptr) {
    fail_input("it has no record {}", shown_name(name));
  }
  require_stored(name, *record);
  if (record->size > limit) {
    fail_input("its record {} has {} bytes; at most {} are read", shown_name(name), record->size,
               limit);
  }
  std::string content = bytes(record->begin, record->size, "a record");
  if (crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()) !=
      record->checksum) {
    fail_input("its record {} has another checksum than the directory says; the file is damaged",
               shown_name(name));
  }
  return content;
}

}  // namespace bissl::host
