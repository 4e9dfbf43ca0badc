#include "view_format.h"

#include "bissl/error.h"
#include "bissl/image_operations.h"

#include <utility>

namespace bissl {

ViewFormat::ViewFormat(int64_t size, std::vector<double> mean, std::vector<double> std)
    : size_(size), mean_(std::move(mean)), std_(std::move(std)) {}

ImageShape ViewFormat::shape(const ImageShape& image) const {
  if (image.channels != 1 && image.channels != 3) {
    fail_input("an image has {} channels; expected 1 (gray) or 3 (red, green, blue)",
               image.channels);
  }
  if (image.height < 1 || image.width < 1) {
    fail_input("an image is {} pixels high and {} wide; expected at least 1 each", image.height,
               image.width);
  }
  if (image.channels == 1 && (mean_.size() != 1 || std_.size() != 1)) {
    fail_input(
        "an image is gray, but `mean` has {} and `std` has {} elements; expected one number each",
        mean_.size(), std_.size());
  }
  return {image.channels, size_ > 0 ? size_ : image.height, size_ > 0 ? size_ : image.width};
}

Planes ViewFormat::planes(const ImageShape& image, std::span<float> output) const {
  const Planes view{shape(image), output.data()};
  if (static_cast<int64_t>(output.size()) != view.shape.elements()) {
    fail_run("room for a view of {} x {} x {} needs {} floats, but there are {}",
             view.shape.channels, view.shape.height, view.shape.width, view.shape.elements(),
             output.size());
  }
  return view;
}

void ViewFormat::normalize(Planes view) const { bissl::normalize(view, mean_, std_); }

void check_channel_values(const std::string& parameter, const std::vector<double>& values,
                          std::vector<Finding>& findings) {
  if (values.size() != 1 && values.size() != 3) {
    findings.push_back(
        {Finding::Severity::error, parameter,
         fmt::format("has {} elements; give 1 (for all channels) or 3 (red, green, blue)",
                     values.size())});
  }
}

void warn_without_effect(const std::string& parameter, const std::string& reason,
                         std::vector<Finding>& findings) {
  findings.push_back(
      {Finding::Severity::warning, parameter, fmt::format("has no effect: {}", reason)});
}

}  // namespace bissl
