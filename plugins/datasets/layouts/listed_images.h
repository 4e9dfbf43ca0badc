#pragma once

#include "image_files.h"
#include "layout.h"
#include "readable_images.h"
#include "text_lines.h"

#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/dataset.h"
#include "bissl/sample_names.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl {

/// An image that a list names.
struct ListedImage {
  std::string file;             ///< below the layout's base
  int64_t category = -1;        ///< where targets are categories
  std::vector<float> labels{};  ///< where targets are labels
};

/// What the lists of a split say.
struct ListedSet {
  TargetSpec targets;
  std::vector<ListedImage> images;
  std::vector<std::string> annotations;  ///< the lists, below the layout's base
};

/// Images in files of their own, read when they are asked for.
class ListedImages : public Dataset, public DataFiles, public DataNotes, public SampleNames {
 public:
  /// Throws Error(ErrorKind::input) if the set has no image, names one twice, or names some that
  /// are not there: how many, and the first of them. `broken`: see ReadableImages.
  ListedImages(const Layout& layout, ListedSet set, ImageOptions image, const std::string& broken);

  void* capability(std::string_view id) override {
    return provide<DataFiles, DataNotes, SampleNames>(*this, id);
  }
  std::vector<DataFile> data_files() const override;
  std::string fingerprint() const override { return fingerprint_of_files(data_files()); }

  int64_t size() const override { return static_cast<int64_t>(set_.images.size()); }
  Sample get(int64_t index) const override;
  Target target(int64_t index) const override;
  TargetSpec targets() const override { return set_.targets; }
  std::vector<std::string> notes() const override { return readable_.notes(); }
  std::string sample_name(int64_t index) const override { return file(index); }

 private:
  const std::string& file(int64_t index) const {
    return set_.images[static_cast<size_t>(index)].file;
  }
  std::string path(int64_t index) const { return base_ + "/" + file(index); }

  std::string base_;
  ListedSet set_;
  ImageOptions image_;
  ReadableImages readable_;
};

/// The place of a class by its name; fails, at this line, for a name that `classes` does not have.
int64_t category_of(const TextLines& list, const TextLine& line, const ClassList& classes,
                    const std::string& name);

/// A name without what is behind its last `separator`; all of it if it has none.
std::string before_last(const std::string& name, char separator);

}  // namespace bissl
