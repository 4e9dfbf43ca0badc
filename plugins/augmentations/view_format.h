#pragma once

#include "both_views.h"

#include "bissl/image.h"
#include "bissl/parameters.h"

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// The size of views and their normalisation, which all recipes here have.
struct ViewFormatOptions {
  int64_t size = 0;
  std::vector<double> mean{0.5};
  std::vector<double> std{0.5};
};

/// What all augmentations here have in common: the size of the views and their normalisation.
class ViewFormat {
 public:
  /// Of options in which the schema's rule finds no fault.
  explicit ViewFormat(ViewFormatOptions options) : options_(std::move(options)) {}

  /// The shape of a view. Throws Error(ErrorKind::input) if the image has no pixels or does
  /// not fit the normalisation.
  ImageShape shape(const ImageShape& image) const;

  /// `output` as planes of that shape. Throws Error(ErrorKind::run) if it has another size.
  Planes planes(const ImageShape& image, std::span<float> output) const;

  /// From [0, 1] to (x − mean) / std.
  template <class View>
  void normalize(View& view) const {
    bissl::normalize(view, options_.mean, options_.std);
  }

 private:
  ViewFormatOptions options_;
};

/// Appends an error if the number of elements is neither 1 nor 3.
void check_channel_values(const std::string& parameter, const std::vector<double>& values,
                          std::vector<Finding>& findings);

/// Declares ViewFormatOptions, to be embedded.
Schema<ViewFormatOptions> view_format_schema();

}  // namespace bissl
