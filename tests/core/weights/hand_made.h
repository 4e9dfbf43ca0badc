#pragma once

// Archives and pickles made by hand, right and wrong.

#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bissl::host::test {

template <class Number>
std::string raw(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

/// One record of an archive, with what the archive is to say of it.
struct HandRecord {
  std::string name;
  std::string data;
  uint16_t method = 0;
  uint16_t flags = 0;
  bool zip64 = false;           ///< its numbers stand in a ZIP64 field
  int64_t wrong_size = -1;      ///< that the directory says in the place of the right one
  int64_t wrong_header = -1;    ///< place of the local header, likewise
  std::string local_name = "";  ///< in its local header, if it is another
};

/// The bytes of an archive. `zip64_end`: with ZIP64's end and locator before the plain end.
inline std::string hand_made_zip(const std::vector<HandRecord>& records, bool zip64_end = false,
                                 const std::string& comment = "") {
  std::string bytes;
  std::string directory;
  for (const HandRecord& record : records) {
    const auto crc = static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(record.data.data()), record.data.size()));
    const std::string& local = record.local_name.empty() ? record.name : record.local_name;
    const uint64_t place = record.wrong_header >= 0 ? record.wrong_header : bytes.size();
    const uint64_t size = record.wrong_size >= 0 ? record.wrong_size : record.data.size();
    std::string extra;
    if (record.zip64) {
      extra = raw<uint16_t>(1) + raw<uint16_t>(24) + raw(size) + raw(size) + raw(place);
    }
    const auto small = [&](uint64_t number) {
      return raw(record.zip64 ? uint32_t{0xffffffff} : static_cast<uint32_t>(number));
    };
    bytes += raw<uint32_t>(0x04034b50) + raw<uint16_t>(0) + raw(record.flags) + raw(record.method) +
             raw<uint32_t>(0) + raw(crc) + raw(static_cast<uint32_t>(record.data.size())) +
             raw(static_cast<uint32_t>(record.data.size())) +
             raw(static_cast<uint16_t>(local.size())) + raw<uint16_t>(0) + local + record.data;
    directory += raw<uint32_t>(0x02014b50) + raw<uint32_t>(0) + raw(record.flags) +
                 raw(record.method) + raw<uint32_t>(0) + raw(crc) + small(size) + small(size) +
                 raw(static_cast<uint16_t>(record.name.size())) +
                 raw(static_cast<uint16_t>(extra.size())) + raw<uint16_t>(0) +
                 std::string(8, '\0') + small(place) + record.name + extra;
  }
  const uint64_t begin = bytes.size();
  const uint64_t count = records.size();
  bytes += directory;
  if (zip64_end) {
    const uint64_t end = bytes.size();
    bytes += raw<uint32_t>(0x06064b50) + raw<uint64_t>(44) + raw<uint32_t>(0) + raw<uint64_t>(0) +
             raw(count) + raw(count) + raw<uint64_t>(directory.size()) + raw(begin);
    bytes += raw<uint32_t>(0x07064b50) + raw<uint32_t>(0) + raw(end) + raw<uint32_t>(1);
  }
  bytes += raw<uint32_t>(0x06054b50) + raw<uint32_t>(0) +
           (zip64_end ? raw<uint32_t>(0xffffffff)
                      : raw(static_cast<uint16_t>(count)) + raw(static_cast<uint16_t>(count))) +
           raw(zip64_end ? uint32_t{0xffffffff} : static_cast<uint32_t>(directory.size())) +
           raw(zip64_end ? uint32_t{0xffffffff} : static_cast<uint32_t>(begin)) +
           raw(static_cast<uint16_t>(comment.size())) + comment;
  return bytes;
}

// Pieces of pickles, protocol 2.

inline std::string pickled_text(std::string_view text) {
  return "X" + raw(static_cast<uint32_t>(text.size())) + std::string(text);
}
inline std::string pickled_integer(int32_t number) { return "J" + raw(number); }
inline std::string pickled_global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string pickled_integers(const std::vector<int32_t>& numbers) {
  std::string bytes = "(";
  for (const int32_t number : numbers) {
    bytes += pickled_integer(number);
  }
  return bytes + "t";
}
/// A tensor of torch._utils._rebuild_tensor_v2.
inline std::string pickled_tensor(const std::string& storage, const std::string& key,
                                  int32_t elements, int32_t offset,
                                  const std::vector<int32_t>& shape,
                                  const std::vector<int32_t>& strides) {
  return pickled_global("torch._utils", "_rebuild_tensor_v2") + "((" + pickled_text("storage") +
         pickled_global("torch", storage) + pickled_text(key) + pickled_text("cpu") +
         pickled_integer(elements) + "tQ" + pickled_integer(offset) + pickled_integers(shape) +
         pickled_integers(strides) + "\x89" + pickled_global("collections", "OrderedDict") + ")RtR";
}
inline std::string pickle_of(const std::string& value) { return "\x80\x02" + value + "."; }
/// A dictionary of values under texts.
inline std::string pickled_dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string bytes = "}(";
  for (const auto& [name, value] : items) {
    bytes += pickled_text(name) + value;
  }
  return bytes + "u";
}

/// A file of torch.save with this pickle and the storage "0" of these bytes.
inline std::string hand_made_pth(const std::string& pickle, const std::string& storage) {
  return hand_made_zip({{"archive/data.pkl", pickle}, {"archive/data/0", storage}});
}

}  // namespace bissl::host::test
