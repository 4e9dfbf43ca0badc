#include "cli/compare_data.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/diagnostics.h"

#include <algorithm>
#include <array>
#include <map>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

bool is_image_file(const fs::path& file) {
  static const std::array<const char*, 12> extensions = {".jpg", ".jpeg", ".png",  ".webp",
                                                         ".ppm", ".pgm",  ".pnm",  ".bmp",
                                                         ".gif", ".tif",  ".tiff", ".pbm"};
  const std::string own = lower_case(file.extension().string());
  return std::find(extensions.begin(), extensions.end(), own) != extensions.end();
}

int64_t images_below(const fs::path& folder) {
  int64_t count = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(folder, fs::directory_options::follow_directory_symlink)) {
    count += entry.is_regular_file() && is_image_file(entry.path()) ? 1 : 0;
  }
  return count;
}

/// How many images each class of a folder has; folders without any are no classes.
std::map<std::string, int64_t> classes_of(const fs::path& folder) {
  std::map<std::string, int64_t> classes;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name.front() != '.') {
      if (const int64_t count = images_below(entry.path()); count > 0) {
        classes[name] = count;
      }
    }
  }
  return classes;
}

int64_t sum_of(const std::map<std::string, int64_t>& classes) {
  int64_t sum = 0;
  for (const auto& [name, count] : classes) {
    sum += count;
  }
  return sum;
}

std::vector<std::string> without(const std::map<std::string, int64_t>& classes,
                                 const std::map<std::string, int64_t>& others) {
  std::vector<std::string> names;
  for (const auto& [name, count] : classes) {
    if (others.count(name) == 0) {
      names.push_back(name);
    }
  }
  return names;
}

void require_classes(const fs::path& folder, const std::map<std::string, int64_t>& classes) {
  if (classes.empty()) {
    fail_input(
        "{}: no folder in it holds images; expected one folder for each class, as in "
        "{}/CLASS/photo.jpg, or train/CLASS/… and test/CLASS/…",
        folder.string(), folder.filename().string());
  }
  if (classes.size() < 2) {
    fail_input(
        "{}: \"{}\" is the only class with images; telling classes apart takes two, each a folder "
        "of its own",
        folder.string(), classes.begin()->first);
  }
}

/// Of classes with one image each nothing is left to choose the ridge of the head by.
void require_more_than_one_each(const fs::path& folder,
                                const std::map<std::string, int64_t>& classes) {
  const bool none_has_two =
      std::all_of(classes.begin(), classes.end(), [](const auto& one) { return one.second == 1; });
  if (none_has_two) {
    fail_input(
        "{}: each of the {} classes has one image. A class cannot be learnt from one image: give "
        "two of each at the least, and tens for a comparison that says anything",
        folder.string(), classes.size());
  }
}

void require_same_classes(const fs::path& train, const std::map<std::string, int64_t>& of_train,
                          const fs::path& test, const std::map<std::string, int64_t>& of_test) {
  const auto complain = [](const fs::path& in, const fs::path& not_in,
                           const std::vector<std::string>& names) {
    if (!names.empty()) {
      fail_input("{} has classes that {} lacks: {}. Both folders are to have the same ones",
                 in.string(), not_in.string(), quoted_list(names));
    }
  };
  complain(train, test, without(of_train, of_test));
  complain(test, train, without(of_test, of_train));
}

}  // namespace

int64_t count_images(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    fail_input("{}: there is no such folder", folder.string());
  }
  const int64_t count = images_below(folder);
  if (count == 0) {
    fail_input("{}: no images in it or below it", folder.string());
  }
  return count;
}

LabelledFolder look_at_labelled(const fs::path& data) {
  if (!fs::is_directory(data)) {
    fail_input("{}: there is no such folder; expected one with a folder of images for each class",
               data.string());
  }
  LabelledFolder found;
  found.train = fs::is_directory(data / "train") ? data / "train" : data;
  const std::map<std::string, int64_t> train = classes_of(found.train);
  require_classes(found.train, train);
  for (const auto& [name, count] : train) {
    found.classes.push_back(name);
  }
  for (const char* name : {"test", "val", "validation", "valid"}) {
    if (found.train != data && !found.test && fs::is_directory(data / name)) {
      found.test = data / name;
    }
  }
  if (found.test) {
    require_more_than_one_each(found.train, train);
    const std::map<std::string, int64_t> test = classes_of(*found.test);
    require_classes(*found.test, test);
    require_same_classes(found.train, train, *found.test, test);
    found.train_images = sum_of(train);
    found.test_images = sum_of(test);
    return found;
  }
  const auto smallest = std::min_element(
      train.begin(), train.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (smallest->second < 2) {
    fail_input(
        "{}: class \"{}\" has one image, and there is no folder with images for the score: each "
        "class "
        "needs two, one to train with and one to score on",
        found.train.string(), smallest->first);
  }
  constexpr int64_t share = 5;  // a fifth of the smallest class, as many of each
  found.held_out = std::max<int64_t>(1, smallest->second / share);
  found.test_images = found.held_out * static_cast<int64_t>(train.size());
  found.train_images = sum_of(train) - found.test_images;
  return found;
}

}  // namespace bissl::host
