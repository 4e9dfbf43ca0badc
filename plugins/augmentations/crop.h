#pragma once

#include "bissl/crops.h"
#include "bissl/parameters.h"

#include <string>
#include <vector>

namespace bissl {

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
