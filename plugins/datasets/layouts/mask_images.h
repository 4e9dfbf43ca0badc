#pragma once

#include "image_files.h"
#include "layout.h"

#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/dataset.h"
#include "bissl/sample_names.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// What the values in the files of masks mean.
class MaskValues {
 public:
  /// `values` are those of the classes, in their order; empty: 0, 1, 2, … `ignore` does not count;
  /// none given: 255, unless a class has it. Throws Error(ErrorKind::input) where they do not fit
  /// each other; `place` says where the names are from.
  MaskValues(std::vector<std::string> names, const std::vector<int64_t>& values,
             std::optional<int64_t> ignore, const std::string& place);

  const std::vector<std::string>& names() const { return names_; }
  /// The mask with places of classes, or not_counted_pixel, in the place of values. Throws
  /// Error(ErrorKind::input), which begins with `path`, for a value that is neither.
  Image categories(const Image& mask, const std::string& path) const;

 private:
  static constexpr int16_t unknown = -1;
  std::string meaning() const;

  std::vector<std::string> names_;
  std::array<int16_t, 256> categories_{};  ///< of each value
};

/// An image and its mask.
struct MaskedImage {
  std::string image;  ///< below the layout's base, as the mask
  std::string mask;
};

/// Declares the options of image files that leave an image as large as its mask: `channels` and
/// `max_pixels`; for Schema::embed.
Schema<ImageOptions> mask_image_schema();

/// The samples of a dataset with masks.
struct MaskedSet {
  std::vector<MaskedImage> samples;
  std::vector<std::string> annotations;  ///< lists and names of classes, below the layout's base
  std::vector<std::string> notes;        ///< for DataNotes
};

/// Images with a mask each, in files of their own, read when they are asked for. From several
/// threads at once.
class MaskImages : public Dataset, public DataFiles, public DataNotes, public SampleNames {
 public:
  /// Throws Error(ErrorKind::input) for a set without samples. All files are there.
  MaskImages(const Layout& layout, MaskedSet set, MaskValues values, ImageOptions image);

  void* capability(std::string_view id) override {
    return provide<DataFiles, DataNotes, SampleNames>(*this, id);
  }
  std::vector<DataFile> data_files() const override;
  std::string fingerprint() const override { return fingerprint_of_files(data_files()); }

  int64_t size() const override { return static_cast<int64_t>(set_.samples.size()); }
  Sample get(int64_t index) const override;
  TargetSpec targets() const override {
    return TargetSpec::named(TargetKind::mask, values_.names());
  }
  std::vector<std::string> notes() const override { return set_.notes; }
  std::string sample_name(int64_t index) const override {
    return set_.samples[static_cast<size_t>(index)].image;
  }

 private:
  std::string base_;  ///< with a slash behind it
  MaskedSet set_;
  MaskValues values_;
  ImageOptions image_;
};

}  // namespace bissl
