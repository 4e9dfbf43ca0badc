#include "components.h"
#include "idx_dataset.h"
#include "idx_files.h"
#include "idx_options.h"

#include "bissl/plugin.h"

namespace bissl {
namespace {

struct Options {
  std::string root = "/usr/share/datasets/fashion-mnist";
  SplitOptions part;
  std::string channels = "gray";
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("root", &Options::root,
           "folder of the four IDX files, compressed by gzip or not; the default is where "
           "Debian's package dataset-fashion-mnist puts them")
      .path()
      .execution_only();
  schema.embed(&Options::part, split_schema());
  schema
      .add(
          "channels", &Options::channels,
          "\"rgb\" gives red, green and blue the gray values, as a network for colour images takes "
          "them")
      .choices({"gray", "rgb"});
  return schema;
}

class FashionMnist final : public IdxDataset {
 public:
  explicit FashionMnist(const Options& options)
      : IdxDataset(
            find_idx_files(
                options.root, options.part.mnist_prefix(),
                "On Debian the package dataset-fashion-mnist brings the files (apt-get install "
                "dataset-fashion-mnist); elsewhere set `root` to the folder that holds them"),
            {.class_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal",
                             "Shirt", "Sneaker", "Bag", "Ankle boot"},
             .channels = options.channels == "rgb" ? 3 : 1}) {}
};

}  // namespace

void add_fashion_mnist(Registrar& registrar) {
  registrar.add<Dataset, FashionMnist>(
      {.name = "fashion-mnist",
       .summary = "70,000 gray images of clothes, 28 x 28 pixels, ten classes",
       .source = "Xiao, Rasul and Vollgraf, \"Fashion-MNIST: a Novel Image Dataset for "
                 "Benchmarking Machine Learning Algorithms\", arXiv 1708.07747"},
      schema());
}

}  // namespace bissl
