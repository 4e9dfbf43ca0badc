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

struct EmnistOptions {
  std::string root;
  std::string split = "train";
  std::string variant = "balanced";
};

/// How MNIST's own files, and those of the sets that replace it, begin.
std::string mnist_prefix(const std::string& split) { return split == "test" ? "t10k" : "train"; }

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
        return std::make_shared<IdxDataset>(
            find_idx_files(options.root, mnist_prefix(options.split), advice), IdxMeaning{classes});
      });
}

Schema<MnistOptions> mnist_schema() {
  Schema<MnistOptions> schema;
  schema.add("root", &MnistOptions::root, "folder of the four IDX files, compressed by gzip or not")
      .required()
      .path()
      .execution_only();
  add_split(schema);
  return schema;
}

void add_mnist(Registrar& registrar) {
  using Options = MnistOptions;
  registrar.add<Dataset, Options>(
      {"mnist", "70,000 gray images of handwritten digits, 28 x 28 pixels, ten classes",
       "LeCun, Bottou, Bengio and Haffner, \"Gradient-Based Learning Applied to Document "
       "Recognition\", Proceedings of the IEEE 86(11), 1998"},
      mnist_schema(), [](const Options& options, const DatasetContext&) {
        const std::vector<std::string> classes{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
        const std::string advice = "Set `root` to the folder that holds MNIST's four IDX files";
        return std::make_shared<IdxDataset>(
            find_idx_files(options.root, mnist_prefix(options.split), advice), IdxMeaning{classes});
      });
}

void add_kmnist(Registrar& registrar) {
  using Options = MnistOptions;
  registrar.add<Dataset, Options>(
      {"kmnist", "70,000 gray images of cursive Japanese characters, 28 x 28 pixels, ten classes",
       "Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha, \"Deep Learning for Classical "
       "Japanese Literature\", arXiv 1812.01718"},
      mnist_schema(), [](const Options& options, const DatasetContext&) {
        const std::vector<std::string> classes{"o",  "ki", "su", "tsu", "na",
                                               "ha", "ma", "ya", "re",  "wo"};
        const std::string advice =
            "Set `root` to the folder that holds Kuzushiji-MNIST's four IDX "
            "files, which are called as MNIST's are";
        return std::make_shared<IdxDataset>(
            find_idx_files(options.root, mnist_prefix(options.split), advice), IdxMeaning{classes});
      });
}

/// The classes of a variant of EMNIST in the order of its labels.
IdxMeaning emnist_meaning(const std::string& variant) {
  const std::string digits = "0123456789";
  const std::string capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string characters = digits;
  if (variant == "byclass") {
    characters += capitals + "abcdefghijklmnopqrstuvwxyz";
  } else if (variant == "bymerge" || variant == "balanced") {
    // Small letters that look like their capitals are in the class of those.
    characters += capitals + "abdefghnqrt";
  } else if (variant == "letters") {
    characters = capitals;  // both forms of each
  }
  IdxMeaning meaning{{}, variant == "letters" ? 1 : 0, true};
  for (const char character : characters) {
    meaning.class_names.emplace_back(1, character);
  }
  return meaning;
}

void add_emnist(Registrar& registrar) {
  using Options = EmnistOptions;
  Schema<Options> schema;
  schema
      .add(
          "root", &Options::root,
          "folder of the IDX files emnist-VARIANT-train-images-idx3-ubyte, …-labels-idx1-ubyte and "
          "the same with test, compressed by gzip or not")
      .required()
      .path()
      .execution_only();
  schema.add("split", &Options::split, "the images to train with or those to test with")
      .choices({"train", "test"});
  schema
      .add("variant", &Options::variant,
           "which images and classes: balanced (47), byclass (62), bymerge (47), letters (26), "
           "digits or mnist (10)")
      .choices({"balanced", "byclass", "bymerge", "letters", "digits", "mnist"});
  registrar.add<Dataset, Options>(
      {"emnist", "gray images of handwritten letters and digits, 28 x 28 pixels; turned upright",
       "Cohen, Afshar, Tapson and van Schaik, \"EMNIST: an Extension of MNIST to Handwritten "
       "Letters\", arXiv 1702.05373"},
      schema, [](const Options& options, const DatasetContext&) {
        const std::string advice =
            "Set `root` to the folder that holds EMNIST's IDX files (\"gzip\" in the official "
            "archive, not the MATLAB or CSV files)";
        return std::make_shared<IdxDataset>(
            find_idx_files(options.root,
                           fmt::format("emnist-{}-{}", options.variant, options.split), advice),
            emnist_meaning(options.variant));
      });
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("idx", "0.1.0", "MIT", registrar) {
  bissl::add_fashion_mnist(registrar);
  bissl::add_mnist(registrar);
  bissl::add_kmnist(registrar);
  bissl::add_emnist(registrar);
}
