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
  std::string variant = "balanced";
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add(
          "root", &Options::root,
          "folder of the IDX files emnist-VARIANT-train-images-idx3-ubyte, …-labels-idx1-ubyte and "
          "the same with test, compressed by gzip or not")
      .required()
      .path()
      .execution_only();
  schema.embed(&Options::part, split_schema("the images to train with or those to test with"));
  schema
      .add("variant", &Options::variant,
           "which images and classes: balanced (47), byclass (62), bymerge (47), letters (26), "
           "digits or mnist (10)")
      .choices({"balanced", "byclass", "bymerge", "letters", "digits", "mnist"});
  return schema;
}

/// The classes of a variant in the order of its labels.
IdxMeaning meaning_of(const std::string& variant) {
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

class Emnist final : public IdxDataset {
 public:
  explicit Emnist(const Options& options)
      : IdxDataset(
            find_idx_files(options.root,
                           fmt::format("emnist-{}-{}", options.variant, options.part.split),
                           "Set `root` to the folder that holds EMNIST's IDX files (\"gzip\" in "
                           "the official archive, not the MATLAB or CSV files)"),
            meaning_of(options.variant)) {}
};

}  // namespace

void add_emnist(Registrar& registrar) {
  registrar.add<Dataset, Emnist>(
      {.name = "emnist",
       .summary = "gray images of handwritten letters and digits, 28 x 28 pixels; turned upright",
       .source = "Cohen, Afshar, Tapson and van Schaik, \"EMNIST: an Extension of MNIST to "
                 "Handwritten Letters\", arXiv 1702.05373"},
      schema());
}

}  // namespace bissl
