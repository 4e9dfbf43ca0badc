// A dataset that reads square gray images from a text file: a line of names, then a line for each
// image with its label and its pixels, as Kaggle has MNIST and its likes.

#include "bissl/data_files.h"
#include "bissl/dataset.h"
#include "bissl/error.h"
#include "bissl/plugin.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace bissl;

struct Options {
  std::string file;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("file", &Options::file, "the CSV file: label,pixel,pixel,… below a line of names")
      .required()
      .path()
      .execution_only();
  return schema;
}

/// The numbers of a line, separated by commas. Names what is none, and where.
std::vector<int> numbers_in(const std::string& line, const std::string& place) {
  std::vector<int> numbers;
  const char* next = line.data();
  const char* const end = line.data() + line.size();
  while (next < end) {
    int number = 0;
    const auto [after, error] = std::from_chars(next, end, number);
    if (error != std::errc() || number < 0 || number > 255 || (after < end && *after != ',')) {
      fail_input("{}: value {} is not a number from 0 to 255", place, numbers.size() + 1);
    }
    numbers.push_back(number);
    next = after < end ? after + 1 : end;
  }
  return numbers;
}

class CsvImages : public Dataset, public DataFiles {
 public:
  explicit CsvImages(const Options& options) : path_(options.file) {
    std::ifstream file(options.file);
    if (!file) {
      fail_input("{}: cannot be opened", options.file);
    }
    std::string line;
    std::getline(file, line);  // the names
    for (int64_t number = 2; std::getline(file, line); ++number) {
      const std::string place = fmt::format("{}:{}", options.file, number);
      const std::vector<int> values = numbers_in(line, place);
      const auto side = int64_t(std::lround(std::sqrt(double(values.size()) - 1)));
      if (values.size() < 2 || side * side + 1 != int64_t(values.size())) {
        fail_input("{}: {} values are not a label and a square image", place, values.size());
      }
      if (side_ != 0 && side != side_) {
        fail_input("{}: {} pixels a side, the lines before have {}", place, side, side_);
      }
      side_ = side;
      labels_.push_back(values[0]);
      images_.emplace_back(values.begin() + 1, values.end());
    }
    if (images_.empty()) {
      fail_input("{}: no image below the line of names", options.file);
    }
  }

  int64_t size() const override { return int64_t(images_.size()); }

  Sample get(int64_t index) const override {
    return {{{1, side_, side_}, images_[size_t(index)].data(), nullptr}, target(index)};
  }

  Target target(int64_t index) const override { return {.category = labels_[size_t(index)]}; }

  TargetSpec targets() const override {
    std::vector<std::string> names;
    for (int64_t label = 0; label <= *std::max_element(labels_.begin(), labels_.end()); ++label) {
      names.push_back(std::to_string(label));
    }
    return TargetSpec::named(TargetKind::category, names);
  }

  // The host hashes the file once, and again when it changes.
  void* capability(std::string_view id) override { return provide<DataFiles>(*this, id); }
  std::vector<DataFile> data_files() const override { return {{"images.csv", path_}}; }
  std::string fingerprint() const override { return fingerprint_of_files(data_files()); }

 private:
  std::string path_;
  int64_t side_ = 0;
  std::vector<int64_t> labels_;
  std::vector<std::vector<uint8_t>> images_;
};

}  // namespace

BISSL_PLUGIN("csv-images", "1.0.0", "MIT", registrar) {
  registrar.add<Dataset, CsvImages>(
      {.name = "csv-images", .summary = "square gray images from a CSV file", .source = ""},
      schema());
}
