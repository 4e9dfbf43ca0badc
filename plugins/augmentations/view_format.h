#pragma once

#include "bissl/image.h"
#include "bissl/parameters.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bissl {

/// What all augmentations here have in common: the size of the views and their normalisation.
class ViewFormat {
 public:
  /// `size` is the side of a view, 0 for that of the image. `mean` and `std` have 1 or 3 elements.
  ViewFormat(int64_t size, std::vector<double> mean, std::vector<double> std);

  /// The shape of a view. Throws Error(ErrorKind::input) if the image has no pixels, has other
  /// than 1 or 3 channels, or does not fit the normalisation.
  ImageShape shape(const ImageShape& image) const;

  /// `output` as planes of that shape. Throws Error(ErrorKind::run) if it has another size.
  Planes planes(const ImageShape& image, std::span<float> output) const;

  /// From [0, 1] to (x − mean) / std.
  void normalize(Planes view) const;

 private:
  int64_t size_;
  std::vector<double> mean_;
  std::vector<double> std_;
};

/// Appends an error if the number of elements is neither 1 nor 3.
void check_channel_values(const std::string& parameter, const std::vector<double>& values,
                          std::vector<Finding>& findings);

/// Appends a warning that `parameter`, which has been changed, has no effect.
void warn_without_effect(const std::string& parameter, const std::string& reason,
                         std::vector<Finding>& findings);

/// Declares size, mean and std, members of the same names.
template <class Options>
void add_view_format(Schema<Options>& schema) {
  schema
      .add("size", &Options::size,
           "height and width of a view; 0 keeps the height and width of the image")
      .at_least(0)
      .at_most(4096)
      .unit("pixels");
  schema.add("mean", &Options::mean,
             "subtracted from the values in 0 … 1: one number, or one per colour");
  schema.add("std", &Options::std, "divides what is left: one number, or one per colour")
      .more_than(0);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    check_channel_values("mean", options.mean, findings);
    check_channel_values("std", options.std, findings);
  });
}

}  // namespace bissl
