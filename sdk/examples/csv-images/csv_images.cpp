// A dataset that reads square gray images from a text file: a line of names, then a line for each
// image with its targets and its pixels. With one column of labels it reads what Kaggle has of
// MNIST and its likes; with several labels or numbers their names are those of the columns.

#include "bissl/data_files.h"
#include "bissl/dataset.h"
#include "bissl/error.h"
#include "bissl/plugin.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace bissl {
namespace {

struct Options {
  std::string file;
  std::string targets = "category";
  int64_t columns = 1;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("file", &Options::file, "the CSV file: targets, then pixels, below a line of names")
      .required()
      .path()
      .execution_only();
  schema
      .add(
          "targets", &Options::targets,
          "what the first columns are: the number of a class; a 0 or 1 for each of several labels; "
          "any numbers. An empty field of the latter two does not count")
      .choices({"category", "multi-label", "values"});
  schema.add("columns", &Options::columns, "how many columns come before the pixels")
      .at_least(1)
      .only_with("targets", {"multi-label", "values"});
  return schema;
}

TargetKind kind_of(const std::string& targets) {
  if (targets == "multi-label") {
    return TargetKind::multi_label;
  }
  return targets == "values" ? TargetKind::values : TargetKind::category;
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == ',') {
      fields.emplace_back();
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

/// A whole field as a number. Names what is none, and where.
template <class Number>
Number number_in(const std::string& field, const std::string& place) {
  Number number = 0;
  const char* const end = field.data() + field.size();
  const auto [after, error] = std::from_chars(field.data(), end, number);
  if (error != std::errc() || after != end) {
    fail_input("{}: \"{}\" is not a number", place, field);
  }
  return number;
}

class CsvImages : public Dataset, public DataFiles {
 public:
  explicit CsvImages(const Options& options)
      : path_(options.file), kind_(kind_of(options.targets)) {
    columns_ = kind_ == TargetKind::category ? 1 : size_t(options.columns);
    std::ifstream file(options.file);
    if (!file) {
      fail_input("{}: cannot be opened", options.file);
    }
    std::string line;
    std::getline(file, line);
    names_ = fields_of(line);
    if (names_.size() <= columns_) {
      fail_input("{}:1: {} names; expected {} of targets, then those of the pixels", options.file,
                 names_.size(), columns_);
    }
    for (int64_t number = 2; std::getline(file, line); ++number) {
      read_image(fields_of(line), fmt::format("{}:{}", options.file, number));
    }
    if (images_.empty()) {
      fail_input("{}: no image below the line of names", options.file);
    }
    name_targets();
  }

  int64_t size() const override { return int64_t(images_.size()); }

  Sample get(int64_t index) const override {
    return {{{1, side_, side_}, images_[size_t(index)].data(), nullptr}, target(index)};
  }

  Target target(int64_t index) const override { return targets_[size_t(index)]; }

  TargetSpec targets() const override { return TargetSpec::named(kind_, names_); }

  // The host hashes the file once, and again when it changes.
  void* capability(std::string_view id) override { return provide<DataFiles>(*this, id); }
  std::vector<DataFile> data_files() const override { return {{"images.csv", path_}}; }
  std::string fingerprint() const override { return fingerprint_of_files(data_files()); }

 private:
  void read_image(const std::vector<std::string>& fields, const std::string& place) {
    const size_t pixels = fields.size() - std::min(fields.size(), columns_);
    const auto side = int64_t(std::lround(std::sqrt(double(pixels))));
    if (pixels == 0 || side * side != int64_t(pixels)) {
      fail_input("{}: {} fields are not {} targets and a square image", place, fields.size(),
                 columns_);
    }
    if (side_ != 0 && side != side_) {
      fail_input("{}: {} pixels a side, the lines before have {}", place, side, side_);
    }
    side_ = side;
    targets_.push_back(read_target(fields, place));
    std::vector<uint8_t> image;
    for (size_t i = columns_; i < fields.size(); ++i) {
      const auto pixel = number_in<int>(fields[i], place);
      if (pixel < 0 || pixel > 255) {
        fail_input("{}: pixel {} is {}; expected 0 to 255", place, i - columns_, pixel);
      }
      image.push_back(uint8_t(pixel));
    }
    images_.push_back(std::move(image));
  }

  Target read_target(const std::vector<std::string>& fields, const std::string& place) const {
    Target target;
    if (kind_ == TargetKind::category) {
      target.category = number_in<int64_t>(fields[0], place);
      if (target.category < 0 || target.category > 255) {
        fail_input("{}: class {}; expected 0 to 255", place, target.category);
      }
      return target;
    }
    for (size_t i = 0; i < columns_; ++i) {
      const float value = fields[i].empty() ? std::numeric_limits<float>::quiet_NaN()
                                            : number_in<float>(fields[i], place);
      if (kind_ == TargetKind::multi_label && value != 0 && value != 1 && !std::isnan(value)) {
        fail_input("{}: label {} is {}; expected 0, 1 or nothing", place, names_[i], value);
      }
      target.values.push_back(value);
    }
    return target;
  }

  /// Labels and values have the names of their columns, classes the names 0, 1, ….
  void name_targets() {
    names_.resize(columns_);
    if (kind_ != TargetKind::category) {
      return;
    }
    int64_t classes = 0;
    for (const Target& target : targets_) {
      classes = std::max(classes, target.category + 1);
    }
    names_.clear();
    for (int64_t number = 0; number < classes; ++number) {
      names_.push_back(std::to_string(number));
    }
  }

  std::string path_;
  TargetKind kind_;
  size_t columns_ = 1;
  std::vector<std::string> names_;
  int64_t side_ = 0;
  std::vector<Target> targets_;
  std::vector<std::vector<uint8_t>> images_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("csv-images", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Dataset, CsvImages>(
      {.name = "csv-images", .summary = "square gray images from a CSV file", .source = ""},
      schema());
}
