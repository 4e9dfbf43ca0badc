#include "image_folder.h"

#include "bissl/plugin.h"

#include <algorithm>
#include <set>

namespace bissl {
namespace {

void check_names(const std::string& parameter, const std::vector<std::string>& names,
                 std::vector<Finding>& findings) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (name.empty() || !seen.insert(name).second) {
      findings.push_back(
          {Finding::Severity::error, parameter,
           name.empty() ? "has an empty name" : fmt::format("names \"{}\" twice", name)});
    }
  }
}

void check(const ImageFolderOptions& options, std::vector<Finding>& findings) {
  if (options.root.empty() && options.list.empty()) {
    findings.push_back({Finding::Severity::error, "root",
                        "is missing: give the folder of the images, or a `list` of them"});
  }
  check_names("class_names", options.class_names, findings);
  check_names("unlabelled", options.unlabelled, findings);
  if (!options.list.empty() && !options.unlabelled.empty()) {
    findings.push_back({Finding::Severity::error, "unlabelled",
                        "names folders, but a `list` is given: leave their labels away there"});
  }
  for (const std::string& name : options.unlabelled) {
    if (std::find(options.class_names.begin(), options.class_names.end(), name) !=
        options.class_names.end()) {
      findings.push_back({Finding::Severity::error, "unlabelled",
                          fmt::format("names \"{}\", which `class_names` names, too", name)});
    }
  }
}

Schema<ImageFolderOptions> image_folder_schema() {
  using Options = ImageFolderOptions;
  Schema<Options> schema;
  schema
      .add(
          "root", &Options::root,
          "folder of the images, ROOT/CLASS/… at any depth or all in ROOT; with a list, the folder "
          "that its paths begin in, by default the list's own")
      .path()
      .execution_only();
  schema
      .add("list", &Options::list,
           "CSV file with `path[,label]` on each line, instead of the files in the folder")
      .path()
      .execution_only();
  schema.add("class_names", &Options::class_names,
             "the classes in their order, some of which may have no images; empty: the folders or "
             "labels that there are, in the order of their bytes");
  schema.add("unlabelled", &Options::unlabelled,
             "folders in ROOT whose images have no label, as those in ROOT itself");
  schema
      .add("take", &Options::take,
           "which images: those with a label, those without, or all, whose labels are not read; "
           "needed where some have one and some have none")
      .choices({"labelled", "unlabelled", "all"});
  schema
      .add("broken", &Options::broken,
           "a file that cannot be read is an error, or the next image with its label takes its "
           "place")
      .choices({"error", "skip"});
  schema.embed(&Options::image, image_schema());
  schema.rule(check);
  return schema;
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("image-folder", "0.1.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Dataset, ImageFolder>(
      {"image-folder",
       "your own images: a folder for each class, a flat folder, or a list; JPEG, PNG, WebP, TIFF, "
       "BMP, PNM and GIF",
       ""},
      image_folder_schema());
}
