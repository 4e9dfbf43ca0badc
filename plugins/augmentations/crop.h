#pragma once

#include "bissl/crops.h"
#include "bissl/parameters.h"

#include <string>
#include <vector>

namespace bissl {

/// The crop range from two ranges in which check_range finds no fault.
CropRange crop_range(const std::vector<double>& scale, const std::vector<double>& ratio);

/// Appends an error if the lower of two bounds is the larger one.
void check_range(const std::string& parameter, const std::vector<double>& range,
                 std::vector<Finding>& findings);

/// What a random resized crop may cut out.
struct CropOptions {
  std::vector<double> scale{0.2, 1.0};
  std::vector<double> ratio{3.0 / 4.0, 4.0 / 3.0};

  /// Of options in which the schema's rule finds no fault.
  CropRange range() const { return crop_range(scale, ratio); }
};

/// Declares `crop_scale` and `crop_ratio`. `when` is called with the builder of each, to say when
/// it has an effect.
template <class When>
Schema<CropOptions> crop_schema(const When& when) {
  Schema<CropOptions> schema;
  when(schema
           .add("crop_scale", &CropOptions::scale,
                "smallest and largest area of the crop, as fractions of the image")
           .more_than(0)
           .at_most(1)
           .length(2));
  when(
      schema
          .add("crop_ratio", &CropOptions::ratio, "smallest and largest width / height of the crop")
          .more_than(0)
          .length(2));
  schema.rule([](const CropOptions& options, std::vector<Finding>& findings) {
    check_range("crop_scale", options.scale, findings);
    check_range("crop_ratio", options.ratio, findings);
  });
  return schema;
}

}  // namespace bissl
