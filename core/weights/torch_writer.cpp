#include "weights/torch_writer.h"

#include "base/atomic_file.h"
#include "bissl/error.h"
#include "store/safetensors.h"

#include <c10/core/ScalarType.h>
#include <zlib.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bissl::host {
namespace {

static_assert(std::endian::native == std::endian::little,
              "numbers are written as they lie in memory");

constexpr std::string_view folder = "weights/";
/// PyTorch maps files into memory and wants each tensor so aligned.
constexpr uint64_t alignment = 64;
constexpr uint64_t most_bytes = std::numeric_limits<uint32_t>::max();

template <class Number>
void put(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

/// A ZIP archive whose records are stored one after the other.
class ZipWriter {
 public:
  explicit ZipWriter(const std::filesystem::path& file) : file_(file) {}

  void add(const std::string& name, const void* data, uint64_t size) {
    constexpr uint64_t header_size = 30;
    constexpr uint64_t field_size = 4;
    const uint64_t begin = place_ + header_size + folder.size() + name.size() + field_size;
    const uint64_t padding = (alignment - begin % alignment) % alignment;
    if (begin + padding + size > most_bytes - directory_.size()) {
      fail_run("the file would have more than 4 GiB: choose safetensors, which has no such limit");
    }
    const auto checksum = static_cast<uint32_t>(crc32_z(0, static_cast<const Bytef*>(data), size));
    std::string header;
    put<uint32_t>(header, 0x04034b50);
    put<uint16_t>(header, 0);  // version
    put_entry(header, name, checksum, size);
    put(header, static_cast<uint16_t>(field_size + padding));
    header.append(folder).append(name);
    header.append("FB");  // PyTorch's name for an extra field of padding
    put(header, static_cast<uint16_t>(padding));
    header.append(padding, 'Z');
    put<uint32_t>(directory_, 0x02014b50);
    put<uint32_t>(directory_, 0);  // versions
    put_entry(directory_, name, checksum, size);
    directory_.append(12, '\0');  // no extra field, comment, disk, attributes
    put(directory_, static_cast<uint32_t>(place_));
    directory_.append(folder).append(name);
    file_.write(header);
    file_.write(data, size);
    place_ += header.size() + size;
    ++records_;
  }

  void commit() {
    std::string end;
    put<uint32_t>(end, 0x06054b50);
    put<uint32_t>(end, 0);  // disks
    put(end, records_);
    put(end, records_);
    put(end, static_cast<uint32_t>(directory_.size()));
    put(end, static_cast<uint32_t>(place_));
    put<uint16_t>(end, 0);  // comment
    file_.write(directory_);
    file_.write(end);
    file_.commit();
  }

 private:
  /// What a record's header and its entry in the directory have in common.
  static void put_entry(std::string& bytes, const std::string& name, uint32_t checksum,
                        uint64_t size) {
    put<uint16_t>(bytes, 0);       // flags
    put<uint16_t>(bytes, 0);       // stored
    put<uint16_t>(bytes, 0);       // time
    put<uint16_t>(bytes, 0x0021);  // 1980-01-01
    put(bytes, checksum);
    put(bytes, static_cast<uint32_t>(size));
    put(bytes, static_cast<uint32_t>(size));
    put(bytes, static_cast<uint16_t>(folder.size() + name.size()));
  }

  AtomicFile file_;
  std::string directory_;
  uint64_t place_ = 0;
  uint16_t records_ = 0;
};

const char* storage_class(c10::ScalarType type) {
  static const std::map<c10::ScalarType, const char*> names = {
      {c10::ScalarType::Double, "DoubleStorage"}, {c10::ScalarType::Float, "FloatStorage"},
      {c10::ScalarType::Half, "HalfStorage"},     {c10::ScalarType::BFloat16, "BFloat16Storage"},
      {c10::ScalarType::Long, "LongStorage"},     {c10::ScalarType::Int, "IntStorage"},
      {c10::ScalarType::Short, "ShortStorage"},   {c10::ScalarType::Char, "CharStorage"},
      {c10::ScalarType::Byte, "ByteStorage"},     {c10::ScalarType::Bool, "BoolStorage"}};
  return names.at(type);  // to_storable has refused others
}

/// The pickle of an ordered dictionary of tensors whose storages are numbered.
class PickleWriter {
 public:
  PickleWriter() { bytes_ = "\x80\x02"; }

  void begin() {
    ordered_dictionary();
    bytes_ += '(';
  }

  void tensor(const std::string& name, const at::Tensor& tensor, size_t number) {
    text(name);
    global("torch._utils", "_rebuild_tensor_v2");
    bytes_ += "((";  // the arguments; the storage's identifier
    text("storage");
    global("torch", storage_class(tensor.scalar_type()));
    text(std::to_string(number));
    text("cpu");
    integer(tensor.numel());
    bytes_ += "tQ";  // a tuple; the storage that it names
    integer(0);
    integers(tensor.sizes());
    integers(tensor.strides());
    bytes_ += '\x89';  // requires_grad = False
    ordered_dictionary();
    bytes_ += "tR";  // a tuple; the call
  }

  std::string end() {
    bytes_ += "u.";  // the items; the end
    return std::move(bytes_);
  }

 private:
  void text(std::string_view text) {
    bytes_ += 'X';
    put(bytes_, static_cast<uint32_t>(text.size()));
    bytes_ += text;
  }
  void global(const char* module, const char* name) {
    bytes_.append("c").append(module).append("\n").append(name).append("\n");
  }
  void integer(int64_t number) {
    if (number == static_cast<int32_t>(number)) {
      bytes_ += 'J';
      put(bytes_, static_cast<int32_t>(number));
    } else {
      bytes_ += '\x8a';
      put(bytes_, uint8_t{8});
      put(bytes_, number);
    }
  }
  void integers(at::IntArrayRef numbers) {
    bytes_ += '(';
    for (const int64_t number : numbers) {
      integer(number);
    }
    bytes_ += 't';
  }
  void ordered_dictionary() {
    global("collections", "OrderedDict");
    bytes_ += ")R";
  }

  std::string bytes_;
};

void write_records(const std::filesystem::path& file, const NamedTensors& tensors) {
  constexpr size_t most_tensors = 65000;  // records are counted in 16 bits
  if (tensors.size() > most_tensors) {
    fail_run("there are {} tensors; at most {} can be written", tensors.size(), most_tensors);
  }
  PickleWriter pickle;
  pickle.begin();
  std::set<std::string> names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    if (!names.insert(name).second) {
      fail_run("two tensors are named \"{}\"", name);
    }
    pickle.tensor(name, to_storable(name, tensor), i);
  }
  ZipWriter archive(file);
  const std::string content = pickle.end();
  archive.add("data.pkl", content.data(), content.size());
  archive.add("byteorder", "little", 6);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor stored = to_storable(tensors[i].name, tensors[i].tensor);
    archive.add("data/" + std::to_string(i), stored.data_ptr(), stored.nbytes());
  }
  archive.add("version", "3\n", 2);
  archive.commit();
}

}  // namespace

void write_torch_file(const std::filesystem::path& file, const NamedTensors& tensors) {
  try {
    write_records(file, tensors);
  } catch (const Error& error) {
    const std::string place = "cannot write " + file.string();
    throw std::string_view(error.what()).starts_with("cannot write") ? error : error.at(place);
  }
}

}  // namespace bissl::host
