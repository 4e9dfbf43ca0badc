#include "file_access.h"
#include "layout.h"
#include "memory_images.h"
#include "text_lines.h"

#include "bissl/data_files.h"
#include "bissl/error.h"
#include "bissl/plugin.h"

#include <memory>
#include <optional>
#include <utility>

namespace bissl {
namespace {

struct Stl10Options {
  std::string root;
  std::string split = "train";
  std::optional<int64_t> fold;
};

constexpr ImageShape shape{3, 96, 96};
constexpr int64_t folds = 10;

LayoutDescription description() {
  return {"STL-10",
          {"stl10_binary"},
          "class_names.txt",
          "train_X.bin, train_y.bin, test_X.bin, test_y.bin, unlabeled_X.bin, class_names.txt and "
          "fold_indices.txt in `root` or in its folder stl10_binary"};
}

/// One split. The pixels stay in their file, which is read image by image: 100,000 unlabelled
/// images are 2.8 GB.
class Stl10 : public Dataset, public DataFiles {
 public:
  explicit Stl10(const Stl10Options& options)
      : Stl10(Layout(description(), options.root), options) {}

  void* capability(std::string_view id) override { return provide<DataFiles>(*this, id); }
  std::vector<DataFile> data_files() const override { return files_; }
  std::string fingerprint() const override { return fingerprint_of_files(files_); }

  int64_t size() const override { return chosen_.empty() ? images_ : std::ssize(chosen_); }

  Sample get(int64_t index) const override {
    const Target known = target(index);
    const auto bytes = static_cast<size_t>(shape.elements());
    std::vector<uint8_t> stored(bytes);
    pixels_.read(static_cast<uint64_t>(place_of(index)) * bytes, stored.data(), bytes);
    const std::shared_ptr<uint8_t[]> image(new uint8_t[bytes]);
    interleave(stored.data(), shape, PixelOrder::columns, image.get());
    return {{shape, image.get(), image}, known};
  }

  Target target(int64_t index) const override {
    check_index(index, size());
    return {.category = labels_.empty() ? -1 : labels_[static_cast<size_t>(place_of(index))]};
  }

  TargetSpec targets() const override {
    return labels_.empty() ? TargetSpec{} : TargetSpec::named(TargetKind::category, names_);
  }

 private:
  Stl10(const Layout& layout, const Stl10Options& options)
      : pixels_(layout.file(options.split + "_X.bin")) {
    const auto bytes = static_cast<uint64_t>(shape.elements());
    if (pixels_.size() == 0 || pixels_.size() % bytes != 0) {
      fail_input(
          "{}: has {} bytes; expected a multiple of {}, the bytes of an image of 96 x 96 "
          "pixels in three colours; fetch the file again",
          pixels_.path().string(), pixels_.size(), bytes);
    }
    images_ = static_cast<int64_t>(pixels_.size() / bytes);
    add_file(pixels_.path());
    if (options.split != "unlabeled") {
      read_labels(layout, options.split);
    }
    if (options.fold && options.split == "train") {
      read_fold(layout.file("fold_indices.txt"), *options.fold);
    }
  }

  void read_labels(const Layout& layout, const std::string& split) {
    const std::filesystem::path names = layout.file("class_names.txt");
    names_ = read_class_list(names).names();
    add_file(names);
    const std::filesystem::path file = layout.file(split + "_y.bin");
    add_file(file);
    const std::string content = read_whole_file(file, uint64_t{1} << 30);
    if (std::ssize(content) != images_) {
      fail_input("{}: holds {} labels, but {} holds {} images; both must be of the same set",
                 file.string(), content.size(), pixels_.path().string(), images_);
    }
    for (const char c : content) {
      const auto label = static_cast<uint8_t>(c);
      if (label < 1 || label > names_.size()) {
        fail_input(
            "{}: label {} of sample {} is out of range; expected 1 to {}, the number of "
            "classes in class_names.txt",
            file.string(), label, labels_.size(), names_.size());
      }
      labels_.push_back(static_cast<uint8_t>(label - 1));
    }
  }

  void read_fold(const std::filesystem::path& file, int64_t fold) {
    const TextLines lines(file);
    if (std::ssize(lines.lines()) != folds) {
      fail_input("{}: has {} lines; expected {}, one for each fold", file.string(),
                 lines.lines().size(), folds);
    }
    const TextLine& line = lines.lines()[static_cast<size_t>(fold)];
    for (const std::string& field : TextLines::fields(line)) {
      chosen_.push_back(lines.number(line, field, 0, images_ - 1, "the place of a training image"));
    }
    add_file(file);
  }

  void add_file(const std::filesystem::path& path) {
    files_.push_back({path.filename().string(), path.string()});
  }

  int64_t place_of(int64_t index) const {
    return chosen_.empty() ? index : chosen_[static_cast<size_t>(index)];
  }

  RandomAccessFile pixels_;
  int64_t images_ = 0;
  std::vector<uint8_t> labels_;  ///< from 0; empty where there are none
  std::vector<int64_t> chosen_;  ///< those of a fold; empty for all
  std::vector<std::string> names_;
  std::vector<DataFile> files_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("stl10", "0.1.0", "MIT", registrar) {
  using namespace bissl;
  Schema<Stl10Options> schema;
  schema
      .add("root", &Stl10Options::root,
           "folder of the binary files (train_X.bin, train_y.bin, test_X.bin, …, class_names.txt), "
           "or the one that holds their folder stl10_binary")
      .required()
      .path()
      .execution_only();
  schema
      .add("split", &Stl10Options::split,
           "5,000 labelled images to train with, 8,000 to test with, or 100,000 without labels")
      .choices({"train", "test", "unlabeled"});
  schema
      .add("fold", &Stl10Options::fold,
           "the 1,000 training images of one of the ten predefined folds (fold_indices.txt); "
           "without it all of them")
      .at_least(0)
      .at_most(folds - 1)
      .only_with("split", std::string("train"));
  registrar.add<Dataset, Stl10>(
      {"stl10", "colour images of 96 x 96 pixels, ten classes, and 100,000 without labels",
       "Coates, Lee and Ng, \"An Analysis of Single-Layer Networks in Unsupervised Feature "
       "Learning\", AISTATS 2011"},
      schema);
}
