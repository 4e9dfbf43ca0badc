#include "layout.h"
#include "mat_reader.h"
#include "memory_images.h"

#include "bissl/error.h"
#include "bissl/plugin.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace bissl {
namespace {

struct SvhnOptions {
  std::string root;
  std::string split = "train";
};

constexpr ImageShape shape{3, 32, 32};
/// The file of 531,131 extra images holds 1.6 GB.
constexpr uint64_t largest_file = uint64_t{4} << 30;
constexpr int64_t digits = 10;

/// Images of 32 x 32 x 3 x N, by columns, and labels 1 to 10, of which 10 is the digit 0.
ImageBlock read_svhn(const std::filesystem::path& file) {
  MatVariables variables = read_mat(file, {"X", "y"}, largest_file);
  const std::vector<int64_t> labels = mat_integers(file, variables, "y");
  MatArray& images = variables["X"];
  const std::vector<int64_t> expected{shape.height, shape.width, shape.channels,
                                      std::ssize(labels)};
  if (labels.empty() || images.bytes.empty() || images.dimensions != expected) {
    fail_input(
        "{}: expected a variable \"X\" of unsigned bytes, 32 x 32 x 3 x {}, the number of "
        "labels in \"y\"; found {} bytes with dimensions {}",
        file.string(), labels.size(), images.bytes.size(), fmt::join(images.dimensions, " x "));
  }
  ImageBlock block{shape, std::move(images.bytes), {}, {}};
  std::vector<uint8_t> image(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 1 || labels[i] > digits) {
      fail_input("{}: label {} of sample {} is out of range; expected 1 to 10", file.string(),
                 labels[i], i);
    }
    block.labels.push_back(static_cast<uint8_t>(labels[i] % digits));
    uint8_t* const place = block.pixels.data() + i * image.size();
    interleave(place, shape, PixelOrder::columns, image.data());
    std::copy(image.begin(), image.end(), place);
  }
  for (int64_t digit = 0; digit < digits; ++digit) {
    block.class_names.push_back(std::to_string(digit));
  }
  return block;
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("svhn", "0.1.0", "MIT", registrar) {
  using namespace bissl;
  Schema<SvhnOptions> schema;
  schema
      .add("root", &SvhnOptions::root,
           "folder of train_32x32.mat, test_32x32.mat and extra_32x32.mat")
      .required()
      .path()
      .execution_only();
  schema
      .add("split", &SvhnOptions::split,
           "73,257 images to train with, 26,032 to test with, or 531,131 simpler ones")
      .choices({"train", "test", "extra"});
  registrar.add<Dataset, SvhnOptions>(
      {"svhn", "colour images of house numbers, 32 x 32 pixels around one digit, ten classes",
       "Netzer, Wang, Coates, Bissacco, Wu and Ng, \"Reading Digits in Natural Images with "
       "Unsupervised Feature Learning\", NIPS workshop 2011"},
      schema, [](const SvhnOptions& options, const DatasetContext&) {
        const std::string name = options.split + "_32x32.mat";
        const Layout layout({"SVHN (format 2, cropped digits)",
                             {},
                             name,
                             "train_32x32.mat, test_32x32.mat and extra_32x32.mat in `root`"},
                            options.root);
        return std::make_shared<MemoryImages>(read_svhn(layout.file(name)));
      });
}
