#include "idx_dataset.h"
#include "idx_files.h"

#include "bissl/plugin.h"

#include <memory>

namespace bissl {
namespace {

struct FashionMnistOptions {
  std::string root = "/usr/share/datasets/fashion-mnist";
  std::string split = "train";
};

struct MnistOptions {
  std::string root;
  std::string split = "train";
};

template <class Options>
void add_split(Schema<Options>& schema) {
  schema.add("split", &Options::split, "60,000 images to train with or 10,000 to test with")
      .choices({"train", "test"});
}

void add_fashion_mnist(Registrar& registrar) {
  using Options = FashionMnistOptions;
  Schema<Options> schema;
  schema
      .add("root", &Options::root,
           "folder of the four IDX files, compressed by gzip or not; the default is where "
           "Debian's package dataset-fashion-mnist puts them")
      .path()
      .execution_only();
  add_split(schema);
  registrar.add<Dataset, Options>(
      {"fashion-mnist", "70,000 gray images of clothes, 28 x 28 pixels, ten classes",
       "Xiao, Rasul and Vollgraf, \"Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine "
       "Learning Algorithms\", arXiv 1708.07747"},
      schema, [](const Options& options, const DatasetContext&) {
        const std::vector<std::string> classes{"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                               "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                               "Bag",         "Ankle boot"};
        const std::string advice =
            "On Debian the package dataset-fashion-mnist brings the files (apt-get install "
            "dataset-fashion-mnist); elsewhere set `root` to the folder that holds them";
        return std::make_shared<IdxDataset>(find_idx_files(options.root, options.split, advice),
                                            classes);
      });
}

void add_mnist(Registrar& registrar) {
  using Options = MnistOptions;
  Schema<Options> schema;
  schema.add("root", &Options::root, "folder of the four IDX files, compressed by gzip or not")
      .required()
      .path()
      .execution_only();
  add_split(schema);
  registrar.add<Dataset, Options>(
      {"mnist", "70,000 gray images of handwritten digits, 28 x 28 pixels, ten classes",
       "LeCun, Bottou, Bengio and Haffner, \"Gradient-Based Learning Applied to Document "
       "Recognition\", Proceedings of the IEEE 86(11), 1998"},
      schema, [](const Options& options, const DatasetContext&) {
        const std::vector<std::string> classes{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
        const std::string advice = "Set `root` to the folder that holds MNIST's four IDX files";
        return std::make_shared<IdxDataset>(find_idx_files(options.root, options.split, advice),
                                            classes);
      });
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("idx", "0.1.0", "MIT", registrar) {
  bissl::add_fashion_mnist(registrar);
  bissl::add_mnist(registrar);
}
