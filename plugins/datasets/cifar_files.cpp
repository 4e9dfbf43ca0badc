#include "cifar_files.h"

#include "file_access.h"
#include "pickle_reader.h"
#include "text_lines.h"

#include "bissl/error.h"

#include <span>
#include <utility>

namespace bissl {
namespace {

constexpr ImageShape shape{3, 32, 32};
constexpr size_t image_bytes = 3072;
constexpr uint64_t largest_batch = uint64_t{1} << 30;

using Path = std::filesystem::path;

class CifarReader {
 public:
  explicit CifarReader(const CifarLabels& labels) : labels_(labels) { block_.shape = shape; }

  void read_names(const CifarFiles& files) {
    const std::string file = files.names.string();
    if (!files.python) {
      block_.class_names = read_class_list(files.names).names();
    } else {
      const Pickle pickle(files.names);
      const PickleValue& names = required(pickle, labels_.names_key, file);
      ClassList classes;
      for (const std::string& name :
           pickle.texts(names, fmt::format("{}: its \"{}\"", file, labels_.names_key))) {
        if (name.empty() || !classes.add(name)) {
          fail_input("{}: the name \"{}\" of class {} is empty or occurs twice", file, name,
                     classes.size());
        }
      }
      block_.class_names = classes.names();
    }
    if (block_.class_names.empty() || block_.class_names.size() > 256) {
      fail_input("{}: names {} classes; expected 1 to 256", file, block_.class_names.size());
    }
  }

  void read_binary(const Path& file) {
    const std::string content = read_whole_file(file, largest_batch);
    const size_t record = labels_.label_bytes + image_bytes;
    if (content.empty() || content.size() % record != 0) {
      fail_input(
          "{}: has {} bytes; expected a multiple of {}: {} of labels and 3 x 32 x 32 of "
          "pixels for each image; fetch the file again",
          file.string(), content.size(), record, labels_.label_bytes);
    }
    const auto* bytes = reinterpret_cast<const uint8_t*>(content.data());
    for (size_t at = 0; at < content.size(); at += record) {
      add(file, bytes[at + labels_.label_place], bytes + at + labels_.label_bytes);
    }
  }

  void read_pickle(const Path& path) {
    const std::string file = path.string();
    const Pickle pickle(path);
    const PickleValue& data = required(pickle, "data", file);
    const std::vector<int64_t> labels = pickle.integers(
        required(pickle, labels_.key, file), fmt::format("{}: its \"{}\"", file, labels_.key));
    const bool is_array = data.kind == PickleKind::array && data.element_type == "u1" &&
                          data.items.size() == 2 &&
                          pickle.at(data.items[1]).integer == int64_t{image_bytes};
    if (!is_array || data.bytes.size() % image_bytes != 0 || data.bytes.empty()) {
      fail_input("{}: its \"data\" is no NumPy array of unsigned bytes, N x {}", file, image_bytes);
    }
    const size_t images = data.bytes.size() / image_bytes;
    if (pickle.at(data.items[0]).integer != static_cast<int64_t>(images) ||
        labels.size() != images) {
      fail_input("{}: holds {} images and {} labels, and its array says {}", file, images,
                 labels.size(), pickle.at(data.items[0]).integer);
    }
    const auto* pixels = reinterpret_cast<const uint8_t*>(data.bytes.data());
    for (size_t i = 0; i < images; ++i) {
      add(path, labels[i], pixels + i * image_bytes);
    }
  }

  ImageBlock take() { return std::move(block_); }

 private:
  static const PickleValue& required(const Pickle& pickle, const std::string& key,
                                     const std::string& file) {
    const PickleValue* const found = pickle.find(pickle.root(), key);
    if (found == nullptr) {
      fail_input("{}: has no \"{}\"; expected a dict with that key, as the official file has", file,
                 key);
    }
    return *found;
  }

  void add(const Path& file, int64_t label, const uint8_t* planes) {
    if (label < 0 || label >= std::ssize(block_.class_names)) {
      fail_input("{}: label {} of sample {} of the split is out of range; expected 0 to {}",
                 file.string(), label, block_.labels.size(), block_.class_names.size() - 1);
    }
    block_.labels.push_back(static_cast<uint8_t>(label));
    const size_t end = block_.pixels.size();
    block_.pixels.resize(end + image_bytes);
    interleave(planes, shape, PixelOrder::rows, block_.pixels.data() + end);
  }

  const CifarLabels& labels_;
  ImageBlock block_;
};

}  // namespace

ImageBlock read_cifar(const CifarFiles& files, const CifarLabels& labels) {
  CifarReader reader(labels);
  reader.read_names(files);
  for (const Path& batch : files.batches) {
    if (files.python) {
      reader.read_pickle(batch);
    } else {
      reader.read_binary(batch);
    }
  }
  return reader.take();
}

}  // namespace bissl
