#include "weights/torch_file.h"

#include "bissl/error.h"
#include "store/safetensors_header.h"
#include "weights/byte_reader.h"

#include <ATen/ops/empty.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// 0x1950a86a20f9469cfc6c as a pickle holds it: torch/serialization.py, MAGIC_NUMBER.
constexpr std::string_view legacy_magic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t legacy_protocol = 1001;
constexpr const char* pickle_record = "data.pkl";

/// product · factor, or none where it is more than int64 holds.
std::optional<int64_t> times(int64_t product, int64_t factor) {
  int64_t result = 0;
  return __builtin_mul_overflow(product, factor, &result) ? std::nullopt : std::optional(result);
}

/// The number of the storage's element behind the last one that the view shows; none where there is
/// no such number. The offset itself for a view without elements.
std::optional<int64_t> end_of(const PickleTensor& tensor) {
  if (std::count(tensor.shape.begin(), tensor.shape.end(), 0) > 0) {
    return tensor.offset;
  }
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const std::optional<int64_t> step = times(tensor.shape[i] - 1, tensor.strides[i]);
    if (!step || __builtin_add_overflow(last, *step, &last)) {
      return std::nullopt;
    }
  }
  return last == std::numeric_limits<int64_t>::max() ? std::nullopt : std::optional(last + 1);
}

bool is_negative(int64_t number) { return number < 0; }

}  // namespace

TorchFile::TorchFile(const fs::path& file)
    : file_(file), open_(open_for_reading(file)), size_(size_of(open_, file)) {
  if (ZipArchive::is_one(open_, file_)) {
    archive_.emplace(open_, file_);
    read_archive();
  } else {
    read_legacy();
  }
}

void TorchFile::read_archive() {
  // All records lie in one folder, whose name is that of the file when it was saved.
  for (const auto& [name, record] : archive_->records()) {
    const size_t slash = name.find('/');
    if (slash == std::string::npos || name.substr(slash + 1) != pickle_record) {
      continue;
    }
    if (!folder_.empty()) {
      fail_input("it has the records {} and {}; expected one of that name, as torch.save writes",
                 shown_name(folder_ + pickle_record), shown_name(name));
    }
    folder_ = name.substr(0, slash + 1);
  }
  if (folder_.empty()) {
    fail_input(
        "it is a ZIP archive without the record \"…/{}\" that torch.save writes; a file of another "
        "program?",
        pickle_record);
  }
  if (archive_->find(folder_ + "constants.pkl") != nullptr) {
    fail_input(
        "it is a TorchScript module, a program. Its weights alone can be imported: save "
        "torch.jit.load(file).state_dict() with torch.save");
  }
  if (archive_->find(folder_ + "byteorder") != nullptr &&
      archive_->read(folder_ + "byteorder", 16) != "little") {
    fail_input("it was saved on a big-endian machine, whose numbers are not read");
  }
  tree_ = read_pickle(archive_->read(folder_ + pickle_record, largest_pickle));
}

/// Three pickles that say what the file is; the place behind them.
uint64_t TorchFile::read_legacy_head() {
  constexpr uint64_t longest_head = 4096;
  std::string head(std::min(size_, longest_head), '\0');
  head.resize(read_at(open_, head.data(), head.size(), 0, file_));
  const auto not_one = [] {
    fail_input(
        "it is none of the files that are read: safetensors, and what torch.save writes, as a ZIP "
        "archive or in the format before PyTorch 1.6");
  };
  if (head.size() < 2 || head[0] != '\x80') {
    not_one();
  }
  const PickleTree magic = read_pickle(head);
  if (magic.top().kind != PickleKind::bytes || magic.top().text != legacy_magic) {
    not_one();
  }
  uint64_t place = magic.consumed;
  const PickleTree protocol = read_pickle(std::string_view(head).substr(place));
  if (protocol.top().kind != PickleKind::integer || protocol.top().integer != legacy_protocol) {
    fail_input("it is of protocol {} of torch.save; {} is read", protocol.top().integer,
               legacy_protocol);
  }
  place += protocol.consumed;
  const PickleTree system = read_pickle(std::string_view(head).substr(place));
  const PickleValue* little = system.find(system.top(), "little_endian");
  if (little == nullptr || little->kind != PickleKind::boolean || little->integer != 1) {
    fail_input("it was saved on a big-endian machine, whose numbers are not read");
  }
  return place + system.consumed;
}

void TorchFile::read_legacy() {
  const uint64_t place = read_legacy_head();
  std::string pickles(std::min(size_ - place, largest_pickle), '\0');
  pickles.resize(read_at(open_, pickles.data(), pickles.size(), place, file_));
  tree_ = read_pickle(pickles);
  const PickleTree keys = read_pickle(std::string_view(pickles).substr(tree_.consumed));
  find_legacy_storages(place + tree_.consumed + keys.consumed, keys);
}

/// Storages follow the list of their keys, each behind the number of its elements.
void TorchFile::find_legacy_storages(uint64_t begin, const PickleTree& keys) {
  std::map<std::string, const PickleStorage*> known;
  for (const PickleStorage& storage : tree_.storages) {
    known.emplace(storage.key, &storage);
  }
  if (keys.top().kind != PickleKind::list) {
    fail_input("the list of its storages is missing; the file is damaged");
  }
  for (const PickleId id : keys.top().items) {
    const std::string& key = keys.at(id).text;
    const auto storage = known.find(key);
    if (storage == known.end()) {
      fail_input(
          "it holds a storage {} of a type that is not known, behind which nothing can be found",
          shown_name(key));
    }
    int64_t elements = 0;
    if (read_at(open_, &elements, sizeof(elements), begin, file_) < sizeof(elements)) {
      fail_input("it ends before its storage {}; it has been cut short", shown_name(key));
    }
    begin += sizeof(elements);
    const std::optional<int64_t> bytes =
        elements < 0
            ? std::nullopt
            : times(elements, static_cast<int64_t>(c10::elementSize(storage->second->type)));
    if (!bytes || static_cast<uint64_t>(*bytes) > size_ - begin) {
      fail_input(
          "its storage {} should have {} elements, and the file ends before; it has been "
          "cut short",
          shown_name(key), elements);
    }
    places_[key] = {begin, static_cast<uint64_t>(*bytes), std::nullopt};
    begin += static_cast<uint64_t>(*bytes);
  }
}

TorchFile::Place TorchFile::place_of(const PickleStorage& storage, const std::string& name) const {
  Place place;
  if (archive_) {
    const ZipRecord* record = archive_->find(folder_ + "data/" + storage.key);
    if (record == nullptr) {
      fail_input("tensor {} lies in a record \"data/{}\" that is missing", shown_name(name),
                 storage.key);
    }
    ZipArchive::require_stored("data/" + storage.key, *record);
    place = {record->begin, record->size, record->checksum};
  } else {
    const auto found = places_.find(storage.key);
    if (found == places_.end()) {
      fail_input("tensor {} lies in a storage {} that is missing", shown_name(name),
                 shown_name(storage.key));
    }
    place = found->second;
  }
  const std::optional<int64_t> bytes =
      times(storage.elements, static_cast<int64_t>(c10::elementSize(storage.type)));
  if (!bytes || static_cast<uint64_t>(*bytes) != place.bytes) {
    fail_input(
        "tensor {} lies in a storage of {} elements of {} bytes, but its record has {} bytes",
        shown_name(name), storage.elements, c10::elementSize(storage.type), place.bytes);
  }
  return place;
}

void TorchFile::require_whole(const PickleTensor& tensor, const std::string& name) const {
  const PickleStorage& storage = tree_.storages.at(tensor.storage);
  if (tensor.shape.size() != tensor.strides.size() || tensor.offset < 0 ||
      std::any_of(tensor.shape.begin(), tensor.shape.end(), is_negative) ||
      std::any_of(tensor.strides.begin(), tensor.strides.end(), is_negative)) {
    fail_input("tensor {} has shape [{}], strides [{}], offset {}, which no tensor has",
               shown_name(name), fmt::join(tensor.shape, ", "), fmt::join(tensor.strides, ", "),
               tensor.offset);
  }
  const Place place = place_of(storage, name);
  const auto elements = static_cast<int64_t>(place.bytes / c10::elementSize(tensor.type));
  const std::optional<int64_t> end = end_of(tensor);
  if (!end || *end > elements) {
    fail_input(
        "tensor {} of shape [{}], strides [{}], offset {} is larger than its storage of {} "
        "elements",
        shown_name(name), fmt::join(tensor.shape, ", "), fmt::join(tensor.strides, ", "),
        tensor.offset, elements);
  }
}

at::Tensor TorchFile::read(const PickleTensor& tensor, const std::string& name) const {
  require_whole(tensor, name);
  const Place place = place_of(tree_.storages.at(tensor.storage), name);
  if (place.bytes % c10::elementSize(tensor.type) != 0) {
    fail_input("tensor {} lies in a storage of {} bytes, no whole number of elements",
               shown_name(name), place.bytes);
  }
  const auto width = static_cast<int64_t>(c10::elementSize(tensor.type));
  // Whole, since the checksum is of the whole.
  at::Tensor storage = at::empty({static_cast<int64_t>(place.bytes) / width},
                                 at::TensorOptions().dtype(tensor.type));
  const auto bytes = static_cast<size_t>(storage.numel() * width);
  if (bytes > 0 && read_at(open_, storage.data_ptr(), bytes, place.begin, file_) < bytes) {
    fail_input("it became shorter while it was read");
  }
  if (place.checksum &&
      crc32_z(0, static_cast<const Bytef*>(storage.data_ptr()), bytes) != *place.checksum) {
    fail_input("tensor {} has another checksum than the archive says; the file is damaged",
               shown_name(name));
  }
  if (tensor.type == c10::ScalarType::Bool) {
    const auto* flags = static_cast<const uint8_t*>(storage.data_ptr());
    if (std::any_of(flags, flags + bytes, [](uint8_t flag) { return flag > 1; })) {
      fail_input("tensor {} is of truth values and holds bytes other than 0 and 1",
                 shown_name(name));
    }
  }
  return storage.as_strided(tensor.shape, tensor.strides, tensor.offset)
      .clone(at::MemoryFormat::Contiguous);
}

}  // namespace bissl::host
