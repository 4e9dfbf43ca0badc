#include "image_folder.h"

#include "bissl/error.h"
#include "bissl/plugin.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>

namespace bissl {
namespace {

constexpr int64_t largest_list = int64_t{1} << 30;
/// Before the path of an image that lies elsewhere, in the names of files.
constexpr const char* absolute_prefix = "absolute:";
/// The name of the list's file.
constexpr const char* list_name = "list:";

/// The name of an image's file in the fingerprint.
std::string file_name(const std::string& path) {
  return path.starts_with('/') ? absolute_prefix + path : path;
}

std::string counted(int64_t count, const char* one, const char* several) {
  return fmt::format("{} {}", count, count == 1 ? one : several);
}

/// Folders of splits are taken for classes by mistake.
bool look_like_splits(const std::vector<std::string>& folders) {
  const std::set<std::string> splits{"train", "training", "test",      "testing",
                                     "val",   "valid",    "validation"};
  return folders.size() >= 2 && std::all_of(folders.begin(), folders.end(), [&](const auto& name) {
           return splits.contains(name);
         });
}

}  // namespace

ImageFolder::ImageFolder(const ImageFolderOptions& options) : options_(options) {
  if (options_.list.empty()) {
    list_root();
  } else {
    read_list_file();
  }
  choose();
  order_files();
  readable_.emplace(reader(), options_.broken);
}

void ImageFolder::list_root() {
  base_ = options_.root.ends_with('/') ? options_.root : options_.root + "/";
  FolderContent content = walk_folder(options_.root);
  left_out_ = content.left_out;
  if (content.images.size() == 0) {
    const std::string left_out = left_out_.text();
    fail_input(
        "{}: has no images{}; expected ROOT/CLASS/… or ROOT/… with files called .jpg, .png, "
        ".webp, .tif, .bmp, .gif, .ppm, .pgm or .pbm",
        options_.root, left_out.empty() ? "" : fmt::format(" ({} left out)", left_out));
  }
  if (options_.class_names.empty() && look_like_splits(content.folders)) {
    fail_input(
        "{}: has the folders {}, which look like splits and not like classes: set `root` to "
        "one of them, or say by `class_names` that they are classes",
        options_.root, some_of(content.folders));
  }
  take_folders(content);
}

/// Makes classes of the folders, but for those whose images have none.
void ImageFolder::take_folders(FolderContent& content) {
  const std::vector<std::string>& without = options_.unlabelled;
  for (const std::string& name : without) {
    if (std::find(content.folders.begin(), content.folders.end(), name) == content.folders.end()) {
      fail_input("{}: has no folder \"{}\", which `unlabelled` names; it has {}", options_.root,
                 name, content.folders.empty() ? "none" : some_of(content.folders));
    }
  }
  std::vector<std::string> found;
  std::vector<std::string> empty;
  std::vector<int32_t> numbers(content.folders.size(), ImageList::unlabelled);
  for (size_t i = 0; i < content.folders.size(); ++i) {
    if (std::find(without.begin(), without.end(), content.folders[i]) != without.end()) {
      continue;
    }
    numbers[i] = static_cast<int32_t>(found.size());
    found.push_back(content.folders[i]);
    if (content.counts[i] == 0) {
      empty.push_back(content.folders[i]);
    }
  }
  const bool uses_classes = options_.take.value_or("labelled") == "labelled";
  if (!empty.empty() && uses_classes && options_.class_names.empty()) {
    const std::string left_out = left_out_.text();
    fail_input(
        "{}: {} without images: {}{}. Take {} away, or name all classes by `class_names`, of "
        "which some may be empty",
        options_.root, empty.size() == 1 ? "has a folder" : "has folders", some_of(empty),
        left_out.empty() ? "" : fmt::format(" (left out below {}: {})", options_.root, left_out),
        empty.size() == 1 ? "it" : "them");
  }
  images_ = std::move(content.images);
  images_.renumber(numbers);
  number_classes(found, "folder");
}

void ImageFolder::read_list_file() {
  const std::filesystem::path list(options_.list);
  base_ = options_.root.empty() ? list.parent_path().string() : options_.root;
  if (!base_.ends_with('/')) {
    base_ += '/';
  }
  ListContent content = read_list(read_file_bytes(options_.list, largest_list), options_.list);
  if (content.images.size() == 0) {
    fail_input("{}: names no images; expected `path[,label]` on each line", options_.list);
  }
  images_ = std::move(content.images);
  number_classes(content.labels, "label");
}

/// Turns numbers of `found` into those of the classes, which class_names may order.
void ImageFolder::number_classes(const std::vector<std::string>& found, const std::string& where) {
  classes_ = options_.class_names.empty() ? found : options_.class_names;
  std::map<std::string, int32_t> places;
  for (const std::string& name : classes_) {
    places.try_emplace(name, static_cast<int32_t>(places.size()));
  }
  std::vector<int32_t> numbers;
  std::vector<std::string> unknown;
  for (const std::string& name : found) {
    const auto place = places.find(name);
    numbers.push_back(place == places.end() ? ImageList::unlabelled : place->second);
    if (place == places.end()) {
      unknown.push_back(name);
    }
  }
  if (!unknown.empty()) {
    fail_input("{}: has {} that `class_names` does not name: {}; the classes are {}", place(),
               unknown.size() == 1 ? "a " + where : where + "s", some_of(unknown),
               some_of(classes_));
  }
  images_.renumber(numbers);
}

/// Which samples there are, and whether they have targets.
void ImageFolder::choose() {
  int64_t with = 0;
  for (int64_t i = 0; i < images_.size(); ++i) {
    with += images_.label(i) == ImageList::unlabelled ? 0 : 1;
  }
  const int64_t without = images_.size() - with;
  if (with > 0 && without > 0 && !options_.take) {
    fail_input(
        "{}: {} and {}: say by `take` which are meant: \"labelled\", \"unlabelled\", or \"all\", "
        "whose labels are not read",
        place(), counted(with, "image has a label", "images have a label"),
        counted(without, "has none", "have none"));
  }
  const std::string take = options_.take.value_or(with > 0 ? "labelled" : "unlabelled");
  if ((take == "labelled" && with == 0) || (take == "unlabelled" && without == 0)) {
    fail_input("{}: take = \"{}\", but {} of the {} {} a label", place(), take,
               with == 0 ? "none" : "each", counted(images_.size(), "image", "images"), "has");
  }
  labelled_ = take == "labelled";
  if (take != "all") {
    images_.keep(labelled_);
    images_.shrink();
  }
}

/// The files' names are those of the images, and one of the list.
void ImageFolder::order_files() {
  file_order_ = images_.order_of_paths(absolute_prefix);
  if (!options_.list.empty()) {
    const auto behind = std::partition_point(
        file_order_.begin(), file_order_.end(),
        [this](uint32_t index) { return file_name(images_.path(index)) < list_name; });
    list_place_ = behind - file_order_.begin();
  }
}

int64_t ImageFolder::file_count() const { return size() + (list_place_ >= 0 ? 1 : 0); }

DataFile ImageFolder::data_file(int64_t place) const {
  if (place == list_place_) {
    return {list_name, options_.list};
  }
  const bool behind = list_place_ >= 0 && place > list_place_;
  const int64_t index = file_order_[static_cast<size_t>(behind ? place - 1 : place)];
  std::string image = path(index);
  if (options_.broken == "skip" && !is_readable_file(image)) {
    image.clear();  // another one takes its place
  }
  return {file_name(images_.path(index)), std::move(image)};
}

std::vector<DataFile> ImageFolder::data_files() const {
  std::vector<DataFile> files;
  files.reserve(static_cast<size_t>(file_count()));
  for (int64_t place = 0; place < file_count(); ++place) {
    files.push_back(data_file(place));
  }
  return files;
}

ImageReader ImageFolder::reader() const {
  return {.size = size(),
          .targets = targets(),
          .read = [this](int64_t index) { return read(index); },
          .target = [this](int64_t index) { return target(index); },
          .name = [this](int64_t index) { return path(index); },
          .advice = "Mend or remove the file"};
}

std::string ImageFolder::path(int64_t index) const {
  const std::string relative = images_.path(index);
  return relative.starts_with('/') ? relative : base_ + relative;
}

Image ImageFolder::read(int64_t index) const {
  const std::string file = path(index);
  try {
    return read_image(file, options_.image);
  } catch (const Error&) {
    std::error_code failed;
    if (!std::filesystem::exists(file, failed) && !failed) {
      fail_input("{}: is not there{}", file,
                 options_.list.empty() ? "; it was when the folder was listed"
                                       : fmt::format(", but {} names it", options_.list));
    }
    throw;
  }
}

Sample ImageFolder::get(int64_t index) const {
  const Target known = target(index);
  return {readable_->get(index), known};
}

Target ImageFolder::target(int64_t index) const {
  if (index < 0 || index >= size()) {
    fail_run("sample {} asked for, but there are only 0 to {}", index, size() - 1);
  }
  return {.category = labelled_ ? images_.label(index) : -1};
}

TargetSpec ImageFolder::targets() const {
  return labelled_ ? TargetSpec::named(TargetKind::category, classes_) : TargetSpec{};
}

std::vector<std::string> ImageFolder::notes() const {
  std::vector<std::string> notes = readable_->notes();
  if (const std::string text = left_out_.text(); !text.empty()) {
    notes.insert(notes.begin(), fmt::format("{}: left out {}", options_.root, text));
  }
  return notes;
}

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

BISSL_PLUGIN("image-folder", "0.1.2", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Dataset, ImageFolder>(
      {"image-folder",
       "your own images: a folder for each class, a flat folder, or a list; JPEG, PNG, WebP, TIFF, "
       "BMP, PNM and GIF",
       ""},
      image_folder_schema());
}
