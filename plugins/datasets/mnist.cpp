#include "components.h"
#include "idx_dataset.h"
#include "idx_files.h"
#include "idx_options.h"

#include "bissl/plugin.h"

namespace bissl {
namespace {

struct Options {
  std::string root;
  SplitOptions part;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("root", &Options::root, "folder of the four IDX files, compressed by gzip or not")
      .required()
      .path()
      .execution_only();
  schema.embed(&Options::part, split_schema());
  return schema;
}

class Mnist final : public IdxDataset {
 public:
  explicit Mnist(const Options& options)
      : IdxDataset(find_idx_files(options.root, options.part.mnist_prefix(),
                                  "Set `root` to the folder that holds MNIST's four IDX files"),
                   {{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}}) {}
};

class Kmnist final : public IdxDataset {
 public:
  explicit Kmnist(const Options& options)
      : IdxDataset(find_idx_files(options.root, options.part.mnist_prefix(),
                                  "Set `root` to the folder that holds Kuzushiji-MNIST's four IDX "
                                  "files, which are called as MNIST's are"),
                   {{"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"}}) {}
};

}  // namespace

void add_mnist(Registrar& registrar) {
  registrar.add<Dataset, Mnist>(
      {.name = "mnist",
       .summary = "70,000 gray images of handwritten digits, 28 x 28 pixels, ten classes",
       .source = "LeCun, Bottou, Bengio and Haffner, \"Gradient-Based Learning Applied to Document "
                 "Recognition\", Proceedings of the IEEE 86(11), 1998"},
      schema());
}

void add_kmnist(Registrar& registrar) {
  registrar.add<Dataset, Kmnist>(
      {.name = "kmnist",
       .summary = "70,000 gray images of cursive Japanese characters, 28 x 28 pixels, ten classes",
       .source = "Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha, \"Deep Learning for "
                 "Classical Japanese Literature\", arXiv 1812.01718"},
      schema());
}

}  // namespace bissl
