#include "view_format.h"

#include "bissl/error.h"
#include "bissl/image_operations.h"

namespace bissl {

ImageShape ViewFormat::shape(const ImageShape& image) const {
  if (image.channels != 1 && image.channels != 3) {
    fail_input("an image has {} channels; expected 1 (gray) or 3 (red, green, blue)",
               image.channels);
  }
  if (image.height < 1 || image.width < 1) {
    fail_input("an image is {} pixels high and {} wide; expected at least 1 each", image.height,
               image.width);
  }
  if (image.channels == 1 && (options_.mean.size() != 1 || options_.std.size() != 1)) {
    fail_input(
        "an image is gray, but `mean` has {} and `std` has {} elements; expected one number each",
        options_.mean.size(), options_.std.size());
  }
  return {image.channels, options_.size > 0 ? options_.size : image.height,
          options_.size > 0 ? options_.size : image.width};
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

void ViewFormat::normalize(Planes view) const {
  bissl::normalize(view, options_.mean, options_.std);
}

void check_channel_values(const std::string& parameter, const std::vector<double>& values,
                          std::vector<Finding>& findings) {
  if (values.size() != 1 && values.size() != 3) {
    findings.push_back(
        {Finding::Severity::error, parameter,
         fmt::format("has {} elements; give 1 (for all channels) or 3 (red, green, blue)",
                     values.size())});
  }
}

Schema<ViewFormatOptions> view_format_schema() {
  using Options = ViewFormatOptions;
  Schema<Options> schema;
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
  return schema;
}

}  // namespace bissl
