#include "cifar_files.h"
#include "layout.h"
#include "layout_search.h"

#include "bissl/plugin.h"

#include <memory>

namespace bissl {
namespace {

struct Cifar10Options {
  std::string root;
  std::string split = "train";
};

struct Cifar100Options {
  std::string root;
  std::string split = "train";
  std::string labels = "fine";
};

/// How the files of one form are called.
struct CifarForm {
  bool python = false;
  LayoutDescription description;  ///< its mark is the file of names
  std::vector<std::string> train;
  std::vector<std::string> test;
};

/// The form that is there, else the one that lies near, which an error is to name; where both are,
/// the first.
const CifarForm& form_at(const std::vector<CifarForm>& forms, const std::string& root) {
  for (const CifarForm& form : forms) {
    if (Layout::is_at(form.description, root)) {
      return form;
    }
  }
  for (const CifarForm& form : forms) {
    if (!place_near(form.description, root).empty()) {
      return form;
    }
  }
  return forms.front();
}

/// The files of a split.
CifarFiles find_cifar(const std::vector<CifarForm>& forms, const std::string& root,
                      const std::string& split) {
  const CifarForm& found = form_at(forms, root);
  const Layout layout(found.description, root);
  CifarFiles files{found.python, {}, layout.file(found.description.mark)};
  for (const std::string& batch : split == "train" ? found.train : found.test) {
    files.batches.push_back(layout.file(batch));
  }
  return files;
}

std::vector<CifarForm> cifar10_forms() {
  const std::string tree =
      "the binary version (data_batch_1.bin to data_batch_5.bin, test_batch.bin, batches.meta.txt) "
      "or the Python version (data_batch_1 to data_batch_5, test_batch, batches.meta) in `root`, "
      "or "
      "in its folder cifar-10-batches-bin or cifar-10-batches-py";
  std::vector<CifarForm> forms{
      {false, {"CIFAR-10", {"cifar-10-batches-bin"}, "batches.meta.txt", tree}, {}, {}},
      {true, {"CIFAR-10", {"cifar-10-batches-py"}, "batches.meta", tree}, {}, {}}};
  for (CifarForm& form : forms) {
    const std::string end = form.python ? "" : ".bin";
    for (int batch = 1; batch <= 5; ++batch) {
      form.train.push_back(fmt::format("data_batch_{}{}", batch, end));
    }
    form.test.push_back("test_batch" + end);
  }
  return forms;
}

std::vector<CifarForm> cifar100_forms(const std::string& names_file) {
  const std::string tree =
      "the binary version (train.bin, test.bin, fine_label_names.txt, coarse_label_names.txt) or "
      "the "
      "Python version (train, test, meta) in `root`, or in its folder cifar-100-binary or "
      "cifar-100-python";
  return {
      {false, {"CIFAR-100", {"cifar-100-binary"}, names_file, tree}, {"train.bin"}, {"test.bin"}},
      {true, {"CIFAR-100", {"cifar-100-python"}, "meta", tree}, {"train"}, {"test"}}};
}

constexpr const char* source =
    "Krizhevsky, \"Learning Multiple Layers of Features from Tiny Images\", technical report, "
    "University of Toronto, 2009";

template <class Options>
Schema<Options> common_schema(const std::string& folder) {
  Schema<Options> schema;
  schema
      .add("root", &Options::root,
           "folder of the files, the binary version or the Python version, or the one that holds "
           "their folder " +
               folder)
      .required()
      .path()
      .execution_only();
  schema.add("split", &Options::split, "50,000 images to train with or 10,000 to test with")
      .choices({"train", "test"});
  return schema;
}

void add_cifar10(Registrar& registrar) {
  registrar.add<Dataset, Cifar10Options>(
      {"cifar10", "60,000 colour images of 32 x 32 pixels, ten classes", source},
      common_schema<Cifar10Options>("cifar-10-batches-bin or cifar-10-batches-py"),
      [](const Cifar10Options& options, const DatasetContext&) {
        return std::make_shared<MemoryImages>(
            read_cifar(find_cifar(cifar10_forms(), options.root, options.split),
                       {"labels", "label_names", 1, 0}));
      });
}

void add_cifar100(Registrar& registrar) {
  auto schema = common_schema<Cifar100Options>("cifar-100-binary or cifar-100-python");
  schema.add("labels", &Cifar100Options::labels, "the 100 classes or the 20 groups of five of them")
      .choices({"fine", "coarse"});
  registrar.add<Dataset, Cifar100Options>(
      {"cifar100", "60,000 colour images of 32 x 32 pixels, 100 classes in 20 groups", source},
      schema, [](const Cifar100Options& options, const DatasetContext&) {
        // A binary record begins with the coarse label, then has the fine one.
        const size_t place = options.labels == "fine" ? 1 : 0;
        const std::string names = options.labels + "_label_names";
        return std::make_shared<MemoryImages>(
            read_cifar(find_cifar(cifar100_forms(names + ".txt"), options.root, options.split),
                       {options.labels + "_labels", names, 2, place}));
      });
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("cifar", "0.1.0", "MIT", registrar) {
  bissl::add_cifar10(registrar);
  bissl::add_cifar100(registrar);
}
