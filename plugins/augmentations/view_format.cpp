#include "view_format.h"

#include "bissl/error.h"

#include <utility>

namespace bissl {

ImageShape ViewFormat::shape(const ImageShape& image) const {
  if (image.height < 1 || image.width < 1) {
    fail_input("an image is {} pixels high and {} wide; expected at least 1 each", image.height,
               image.width);
  }
  for (const auto& [name, values] : {std::pair("mean", &options_.mean), {"std", &options_.std}}) {
    if (values->size() != 1 && static_cast<int64_t>(values->size()) != image.channels) {
      fail_input(
          "`{}` has {} elements, an image has {} channel{}; give 1 element, or one for each "
          "channel",
          name, values->size(), image.channels, image.channels == 1 ? "" : "s");
    }
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

void check_channel_values(const std::string& parameter, const std::vector<double>& values,
                          std::vector<Finding>& findings) {
  if (values.empty()) {
    findings.push_back({Finding::Severity::error, parameter, "needs at least one number"});
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
             "subtracted from the values in 0 … 1: one number, or one per channel");
  schema.add("std", &Options::std, "divides what is left: one number, or one per channel")
      .more_than(0);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    check_channel_values("mean", options.mean, findings);
    check_channel_values("std", options.std, findings);
  });
  return schema;
}

}  // namespace bissl
