#pragma once

#include "resampling.h"

#include "bissl/image.h"
#include "bissl/parameters.h"
#include "bissl/random.h"

#include <string>
#include <vector>

namespace bissl {

/// What a random resized crop may cut out.
struct CropRange {
  double smallest_area = 0.0;  ///< as a fraction of the image's area
  double largest_area = 1.0;
  double smallest_ratio = 1.0;  ///< width / height
  double largest_ratio = 1.0;
};

/// A random box inside an image of shape `image`, drawn as torchvision's RandomResizedCrop does:
/// area uniform, logarithm of the ratio uniform, position uniform; after ten boxes that do not fit,
/// the largest box in the middle with an allowed ratio.
Box random_box(const ImageShape& image, const CropRange& range, RandomStream& stream);

/// The largest box in the middle of the image with the proportions of `output`.
Box centered_box(const ImageShape& image, const ImageShape& output);

/// The crop range from parameters in which check_crop_range finds no fault.
CropRange crop_range(const std::vector<double>& scale, const std::vector<double>& ratio);

/// Appends an error for each of `crop_scale` and `crop_ratio` that is not a range.
void check_crop_range(const std::vector<double>& scale, const std::vector<double>& ratio,
                      std::vector<Finding>& findings);

/// Appends an error if the lower of two bounds is the larger one.
void check_range(const std::string& parameter, const std::vector<double>& range,
                 std::vector<Finding>& findings);

/// Declares crop_scale and crop_ratio, members of the same names.
template <class Options>
void add_crop_range(Schema<Options>& schema) {
  schema
      .add("crop_scale", &Options::crop_scale,
           "smallest and largest area of the crop, as fractions of the image")
      .more_than(0)
      .at_most(1)
      .length(2);
  schema.add("crop_ratio", &Options::crop_ratio, "smallest and largest width / height of the crop")
      .more_than(0)
      .length(2);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    check_crop_range(options.crop_scale, options.crop_ratio, findings);
  });
}

}  // namespace bissl
