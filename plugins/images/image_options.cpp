#include "image_files.h"

#include <cstdint>
#include <vector>

namespace bissl {

Schema<ImageOptions> image_schema() {
  Schema<ImageOptions> schema;
  schema
      .add("channels", &ImageOptions::channels,
           "three colours, gray, or as the file: gray, three colours, or all bands of a TIFF with "
           "several")
      .choices({"rgb", "gray", "as-file"});
  schema
      .add("size", &ImageOptions::size,
           "images whose shorter side is longer are scaled to this one; 0: none are")
      .at_least(0)
      .at_most(65535)
      .unit("pixels");
  schema
      .add(
          "scaled_decoding", &ImageOptions::scaled_decoding,
          "JPEG files are decoded at 1/2, 1/4 or 1/8 of their size, which is faster, as far as the "
          "shorter side keeps this many pixels; 0: in full")
      .at_least(0)
      .at_most(65535)
      .unit("pixels");
  schema
      .add("max_pixels", &ImageOptions::max_pixels,
           "a file with more pixels is refused before memory is taken for them")
      .at_least(1)
      .at_most(int64_t{1} << 32)
      .unit("pixels");
  schema
      .add("depth", &ImageOptions::depth,
           "bits of the samples: 8, or 16 for files that have more than 8, such as those of "
           "satellites and microscopes")
      .at_least(8)
      .at_most(16)
      .unit("bits");
  schema
      .add("range", &ImageOptions::range,
           "the samples that become black and white where a file's have more than 8 bits, such as "
           "[0, 10000]; empty: the range of their type")
      .accepts("two numbers, the smaller one first, or none");
  schema
      .add("bands", &ImageOptions::bands,
           "which bands of files with several, counted from 1, in their new order; empty: all")
      .at_least(1);
  schema.rule([](const ImageOptions& options, std::vector<Finding>& findings) {
    if (options.depth != 8 && options.depth != 16) {
      findings.push_back({Finding::Severity::error, "depth",
                          fmt::format("{} given; accepted are 8 and 16", options.depth)});
    }
    const std::vector<double>& range = options.range;
    if (!range.empty() && (range.size() != 2 || !(range[0] < range[1]))) {
      findings.push_back({Finding::Severity::error, "range",
                          fmt::format("has {} number{}{}; give two, the smaller one first",
                                      range.size(), range.size() == 1 ? "" : "s",
                                      range.size() == 2 ? " in the wrong order" : "")});
    }
  });
  return schema;
}

}  // namespace bissl
