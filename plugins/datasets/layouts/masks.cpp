#include "layouts.h"
#include "mask_images.h"

#include "bissl/error.h"

#include <algorithm>
#include <map>
#include <set>

namespace bissl {
namespace {

constexpr const char* class_file = "classes.txt";

struct MasksOptions {
  std::string root;
  std::string images = "images";
  std::string masks = "masks";
  std::vector<std::string> class_names;
  std::vector<int64_t> values;
  std::optional<int64_t> ignore;
  ImageOptions image;
};

/// A file's name without its ending.
std::string stem_of(const std::string& name) { return before_last(name, '.'); }

bool is_png_name(const std::string& name) {
  std::string ending = name.size() < 4 ? "" : name.substr(name.size() - 4);
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return ending == ".png";
}

/// The files of a folder that are images, by their stems.
std::map<std::string, std::string> files_by_stem(const Layout& layout, const std::string& folder,
                                                 bool (*is_meant)(const std::string&)) {
  std::map<std::string, std::string> files;
  for (const std::string& name : layout.files_in(folder)) {
    if (!is_meant(name)) {
      continue;
    }
    const auto [other, is_new] = files.emplace(stem_of(name), name);
    if (!is_new) {
      fail_input(
          "{}/{}: has {} and {}, which differ in their endings alone; a mask belongs to one "
          "image of its name",
          layout.base().string(), folder, other->second, name);
    }
  }
  return files;
}

/// Pairs the files of both folders. Every image has a mask; a mask without image is noted.
MaskedSet paired(const Layout& layout, const MasksOptions& options) {
  const auto images = files_by_stem(layout, options.images,
                                    [](const std::string& name) { return is_image_name(name); });
  auto masks = files_by_stem(layout, options.masks, is_png_name);
  MaskedSet set;
  std::vector<std::string> without;
  for (const auto& [stem, image] : images) {
    const auto mask = masks.find(stem);
    if (mask == masks.end()) {
      without.push_back(image);
      continue;
    }
    set.samples.push_back({options.images + "/" + image, options.masks + "/" + mask->second});
    masks.erase(mask);
  }
  const std::string base = layout.base().string();
  if (!without.empty()) {
    fail_input(
        "{}/{}: {} of the {} images there have no mask, {} first: no file {}/{}/{}.png. Every "
        "image "
        "needs one; images without are for `image-folder`",
        base, options.images, without.size(), images.size(), without.front(), base, options.masks,
        stem_of(without.front()));
  }
  if (!masks.empty()) {
    set.notes.push_back(
        fmt::format("{}/{}: left out {} without image, {} first", base, options.masks,
                    masks.size() == 1 ? "1 mask" : fmt::format("{} masks", masks.size()),
                    masks.begin()->second));
  }
  return set;
}

std::shared_ptr<Dataset> open_masks(const MasksOptions& options) {
  const Layout layout({"images and masks",
                       {},
                       options.masks,
                       fmt::format("{0}/NAME.jpg (or another image) and {1}/NAME.png in `root`",
                                   options.images, options.masks)},
                      options.root);
  MaskedSet set = paired(layout, options);
  std::vector<std::string> names = options.class_names;
  std::string place = "class_names";
  if (names.empty()) {
    if (!layout.has_file(class_file)) {
      fail_input(
          "{}: say what the values of the masks are called: by `class_names`, or in a file "
          "{} there, a name a line",
          layout.base().string(), class_file);
    }
    place = layout.file(class_file).string();
    names = read_class_list(place).names();
    set.annotations.emplace_back(class_file);
  }
  MaskValues values(std::move(names), options.values, options.ignore, place);
  return std::make_shared<MaskImages>(layout, std::move(set), std::move(values), options.image);
}

void check_masks(const MasksOptions& options, std::vector<Finding>& findings) {
  const auto error = [&](const char* parameter, std::string message) {
    findings.push_back({Finding::Severity::error, parameter, std::move(message)});
  };
  std::set<std::string> seen;
  for (const std::string& name : options.class_names) {
    if (name.empty() || !seen.insert(name).second) {
      error("class_names",
            name.empty() ? "has an empty name" : fmt::format("names \"{}\" twice", name));
    }
  }
  for (const auto& [parameter, folder] :
       {std::pair{"images", &options.images}, std::pair{"masks", &options.masks}}) {
    if (!stays_within(*folder)) {
      error(parameter, fmt::format("is \"{}\"; expected the name of a folder in `root`", *folder));
    }
  }
  if (options.images == options.masks) {
    error("masks", "is the folder of the images; masks need one of their own");
  }
}

Schema<MasksOptions> masks_schema() {
  using Options = MasksOptions;
  Schema<Options> schema;
  schema.add("root", &Options::root, "folder that holds those of the images and of the masks")
      .required()
      .path()
      .execution_only();
  schema.add("images", &Options::images, "folder of the images in `root`");
  schema.add(
      "masks", &Options::masks,
      "folder of the masks in `root`: for each image a PNG file of its name and size, with a "
      "palette or gray");
  schema.add("class_names", &Options::class_names,
             "the classes in the order of their values; empty: those in ROOT/classes.txt, one a "
             "line");
  schema
      .add("values", &Options::values,
           "the value of each class in the masks: places in the palette, or gray values as the "
           "file has them; empty: 0, 1, 2, …")
      .at_least(0)
      .at_most(255);
  schema
      .add("ignore", &Options::ignore,
           "value of pixels that count for neither loss nor metrics; 255 if absent, unless a class "
           "has it")
      .at_least(0)
      .at_most(255);
  schema.embed(&Options::image, mask_image_schema());
  schema.rule(check_masks);
  return schema;
}

}  // namespace

void add_masks(Registrar& registrar) {
  registrar.add<Dataset, MasksOptions>(
      {"masks", "your own images with a mask each, for segmentation: two folders of files", ""},
      masks_schema(),
      [](const MasksOptions& options, const DatasetContext&) { return open_masks(options); });
}

}  // namespace bissl
