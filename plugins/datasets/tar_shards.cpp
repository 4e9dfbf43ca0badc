#include "image_files.h"
#include "memory_images.h"
#include "readable_images.h"
#include "shard_index.h"
#include "text_lines.h"

#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/error.h"
#include "bissl/plugin.h"
#include "bissl/sample_names.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace bissl {
namespace {

struct TarShardsOptions {
  std::vector<std::string> shards;
  std::vector<std::string> image{"jpg", "jpeg", "png", "webp", "ppm", "pgm",
                                 "pnm", "bmp",  "gif", "tif",  "tiff"};
  std::string label = "cls";
  std::string class_names;
  std::string cache;
  std::string broken = "error";
  ImageOptions pixels;
};

constexpr int64_t most_classes = 1'000'000;
/// As of an image in a file of its own.
constexpr uint64_t largest_image = uint64_t{1} << 30;

/// bissl/shards in $XDG_CACHE_HOME, else in ~/.cache, else bissl-shards in the folder for temporary
/// files; empty where there is none of them.
std::filesystem::path cache_folder(const std::string& given) {
  if (!given.empty()) {
    return given;
  }
  if (const char* const cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    return std::filesystem::path(cache) / "bissl/shards";
  }
  if (const char* const home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return std::filesystem::path(home) / ".cache/bissl/shards";
  }
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  return error ? std::filesystem::path() : temporary / "bissl-shards";
}

/// Samples of WebDataset shards at any place: the host draws their order, as of any other dataset,
/// so it is the same for any number of threads and after an interruption.
class TarShards : public Dataset, public DataFiles, public DataNotes, public SampleNames {
 public:
  explicit TarShards(const TarShardsOptions& options) : pixels_(options.pixels) {
    const std::vector<ShardFile> shards = find_shards(options.shards);
    for (const ShardFile& shard : shards) {
      files_.push_back({shard.name, shard.path.string()});
    }
    index_ = index_shards(shards, {options.image, options.label}, cache_folder(options.cache));
    if (!index_.labels.empty()) {
      read_labels(options.class_names);
    }
    readable_.emplace(ImageReader{.size = size(),
                                  .targets = targets(),
                                  .read = [this](int64_t index) { return read(index); },
                                  .target = [this](int64_t index) { return target(index); },
                                  .name = [this](int64_t index) { return describe(index); },
                                  .advice = "Pack the shard again"},
                      options.broken);
  }

  void* capability(std::string_view id) override {
    return provide<DataFiles, DataNotes, SampleNames>(*this, id);
  }
  std::vector<DataFile> data_files() const override { return files_; }
  std::string fingerprint() const override { return fingerprint_of_files(files_); }

  int64_t size() const override { return std::ssize(index_.samples); }

  Sample get(int64_t index) const override {
    Target known = target(index);
    return {readable_->get(index), std::move(known)};
  }

  Target target(int64_t index) const override {
    check_index(index, size());
    return {.category = categories_.empty() ? -1 : categories_[static_cast<size_t>(index)]};
  }

  TargetSpec targets() const override {
    return categories_.empty() ? TargetSpec{} : TargetSpec::named(TargetKind::category, names_);
  }

  std::vector<std::string> notes() const override { return readable_->notes(); }

  /// The shard and the sample's key in it.
  std::string sample_name(int64_t index) const override {
    const ShardSample& sample = index_.samples[static_cast<size_t>(index)];
    return files_[sample.shard].name + "/" + index_.key(static_cast<size_t>(index));
  }

 private:
  std::string describe(int64_t index) const {
    return describe_sample(index_, index_.samples[static_cast<size_t>(index)]);
  }

  Image read(int64_t index) const {
    const ShardSample& sample = index_.samples[static_cast<size_t>(index)];
    if (sample.size > largest_image) {
      fail_input("{}: has {} bytes; at most {} are read", describe(index), sample.size,
                 largest_image);
    }
    std::string bytes;
    try {
      bytes = read_sample(index_, sample);
    } catch (const Error& error) {
      throw SourceError(error.kind(), error.what());
    }
    return decode_image(bytes, describe(index), pixels_);
  }

  /// Turns the labels' texts into classes.
  void read_labels(const std::string& class_names) {
    ClassList classes;
    if (!class_names.empty()) {
      classes = read_class_list(class_names);
      files_.push_back({"class names", class_names});
    }
    int64_t most = -1;
    categories_.reserve(index_.labels.size());
    for (const std::string& label : index_.labels) {
      const int64_t category = category_of(label, classes);
      most = std::max(most, category);
      categories_.push_back(static_cast<int32_t>(category));
    }
    index_.labels = {};
    names_ = classes.names();
    for (int64_t label = std::ssize(names_); label <= most; ++label) {
      names_.push_back(std::to_string(label));
    }
  }

  int64_t category_of(const std::string& label, const ClassList& classes) const {
    const bool named = classes.size() > 0;
    if (const int64_t place = named ? classes.find(label) : -1; place >= 0) {
      return place;
    }
    int64_t number = -1;
    const int64_t end = named ? classes.size() : most_classes;
    if (!parse_number(label, number) || number < 0 || number >= end) {
      const ShardSample& sample = index_.samples[categories_.size()];
      fail_input("{}: the label of sample {} is \"{}\"; expected a class from 0 to {}{}",
                 index_.shards[sample.shard].path.string(), categories_.size(), label, end - 1,
                 named ? ", or one of the names in `class_names`"
                       : ". Classes by their names need `class_names`");
    }
    return number;
  }

  ImageOptions pixels_;
  ShardIndex index_;
  std::vector<int32_t> categories_;  ///< empty where there are no labels
  std::vector<std::string> names_;
  std::vector<DataFile> files_;
  std::optional<ReadableImages> readable_;
};

Schema<TarShardsOptions> tar_shards_schema() {
  using Options = TarShardsOptions;
  Schema<Options> schema;
  schema
      .add("shards", &Options::shards,
           "tar files, each a path or a pattern as in train-{000..127}.tar; uncompressed, or "
           "compressed by gzip, which are unpacked into `cache` first. They are taken in the order "
           "of their names")
      .required()
      .path()
      .or_one()
      .execution_only();
  schema.add("image", &Options::image,
             "extensions of the members that are images; where a sample has several, the first of "
             "these counts");
  schema.add("label", &Options::label,
             "extension of the members that hold the number of the class, or its name; empty, or "
             "where no sample has one: data without labels");
  schema
      .add(
          "class_names", &Options::class_names,
          "text file with the name of a class in each line; without it classes are called by their "
          "numbers")
      .path()
      .execution_only();
  schema
      .add("cache", &Options::cache,
           "folder for what compressed shards are unpacked to; empty for bissl/shards in "
           "$XDG_CACHE_HOME or ~/.cache")
      .path()
      .execution_only();
  schema
      .add("broken", &Options::broken,
           "an image that cannot be read is an error, or the next one with its label takes its "
           "place")
      .choices({"error", "skip"});
  schema.embed(&Options::pixels, image_schema());
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.shards.empty()) {
      findings.push_back({Finding::Severity::error, "shards", "names no file"});
    }
    const auto wrong = [](const std::string& extension) {
      return extension.empty() || extension.front() == '.' ||
             std::any_of(extension.begin(), extension.end(),
                         [](char c) { return (c >= 'A' && c <= 'Z') || c == '/'; });
    };
    if (options.image.empty() || std::any_of(options.image.begin(), options.image.end(), wrong)) {
      findings.push_back({Finding::Severity::error, "image",
                          "expects extensions in small letters without the dot, as in \"jpg\""});
    }
    if (!options.label.empty() && wrong(options.label)) {
      findings.push_back({Finding::Severity::error, "label",
                          "expects an extension in small letters without the dot, as in \"cls\""});
    }
  });
  return schema;
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("tar-shards", "0.1.2", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Dataset, TarShards>(
      {"tar-shards",
       "tar files in WebDataset's convention: the members of a sample have one name and "
       "several extensions",
       ""},
      tar_shards_schema());
}
