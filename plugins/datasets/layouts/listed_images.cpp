#include "listed_images.h"

#include "memory_images.h"

#include "bissl/error.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace bissl {
namespace {

namespace fs = std::filesystem;

void require_once(const std::vector<ListedImage>& images, const std::string& base) {
  std::vector<std::string_view> names;
  names.reserve(images.size());
  for (const ListedImage& image : images) {
    names.push_back(image.file);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    fail_input("{}: the lists of this split name the image {} twice", base, *twice);
  }
}

void require_all(const std::vector<ListedImage>& images, const fs::path& base,
                 const std::string& list) {
  size_t missing = 0;
  std::string first;
  for (const ListedImage& image : images) {
    std::error_code error;
    if (!fs::is_regular_file(base / image.file, error)) {
      first = missing == 0 ? image.file : first;
      ++missing;
    }
  }
  if (missing > 0) {
    const fs::path path = base / first;
    std::error_code error;
    if (!fs::exists(path, error) && error) {
      fail_input(
          "{}: cannot be looked up: {}; {} names it. Expected is a folder whose files may be read",
          path.string(), error.message(), list);
    }
    fail_input(
        "{}: {} of the {} images that {} names are not there, {} first: no file {}; that "
        "folder holds {}. Unpack the whole archive, or remove from the list what is missing",
        base.string(), missing, images.size(), list, first, path.string(),
        names_in(path.parent_path()));
  }
}

}  // namespace

ListedImages::ListedImages(const Layout& layout, ListedSet set, ImageOptions image,
                           const std::string& broken)
    : base_(layout.base().string()),
      set_(std::move(set)),
      image_(std::move(image)),
      readable_({.size = size(),
                 .targets = set_.targets,
                 .read = [this](int64_t index) { return read_image(path(index), image_); },
                 .target = [this](int64_t index) { return target(index); },
                 .name = [this](int64_t index) { return path(index); },
                 .advice = "Unpack the file again"},
                broken) {
  const std::string list = set_.annotations.empty() ? "its folders" : set_.annotations.front();
  if (set_.images.empty()) {
    fail_input("{}: {} name no image of this split", base_, list);
  }
  require_once(set_.images, base_);
  require_all(set_.images, layout.base(), list);
}

std::vector<DataFile> ListedImages::data_files() const {
  std::vector<DataFile> files;
  files.reserve(set_.annotations.size() + set_.images.size());
  for (const std::string& name : set_.annotations) {
    files.push_back({name, base_ + "/" + name});
  }
  for (const ListedImage& image : set_.images) {
    std::string place = base_ + "/" + image.file;
    if (readable_.skips() && !is_readable_file(place)) {
      place.clear();  // another one takes its place
    }
    files.push_back({image.file, std::move(place)});
  }
  return files;
}

Sample ListedImages::get(int64_t index) const {
  Target known = target(index);
  return {readable_.get(index), std::move(known)};
}

Target ListedImages::target(int64_t index) const {
  check_index(index, size());
  const ListedImage& image = set_.images[static_cast<size_t>(index)];
  return {.category = image.category, .values = image.labels};
}

int64_t category_of(const TextLines& list, const TextLine& line, const ClassList& classes,
                    const std::string& name) {
  const int64_t category = classes.find(name);
  if (category < 0) {
    list.fail(line, fmt::format("one of the {} classes of this dataset in place of \"{}\"",
                                classes.size(), name));
  }
  return category;
}

std::string before_last(const std::string& name, char separator) {
  return name.substr(0, name.rfind(separator));
}

}  // namespace bissl
