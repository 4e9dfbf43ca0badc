#include "layouts.h"

#include "bissl/error.h"

#include <array>
#include <limits>
#include <map>

namespace bissl {
namespace {

constexpr std::array<const char*, 20> voc_classes{
    "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",      "car",
    "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",    "motorbike",
    "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"};

/// The entry of a target for what the file of a class says of an image: 1 has it, −1 has it not, 0
/// has it, but it is hard to make out (*difficult*) and counts for nothing.
float voc_entry(const TextLines& list, const TextLine& line, const std::string& field) {
  switch (list.number(line, field, -1, 1, "1, 0 (difficult) or -1, a number")) {
    case 1:
      return 1.0F;
    case 0:
      return std::numeric_limits<float>::quiet_NaN();
    default:
      return 0.0F;
  }
}

/// Puts the labels of one class into the images, whose places are by their names.
void read_voc_class(const Layout& layout, const std::string& file, size_t label,
                    const std::map<std::string, size_t>& places, ListedSet& set) {
  const TextLines list(layout.file(file));
  if (list.lines().size() != places.size()) {
    fail_input(
        "{}: has {} lines, but the list of the split has {} images; both must be of the same "
        "split",
        list.path().string(), list.lines().size(), places.size());
  }
  std::vector<bool> seen(places.size());
  for (const TextLine& line : list.lines()) {
    const std::vector<std::string> fields =
        list.fields(line, 2, "the name of an image and 1, 0 or -1");
    const auto place = places.find(fields[0]);
    if (place == places.end() || seen[place->second]) {
      list.fail(line, "an image of the split's list that no line before names");
    }
    seen[place->second] = true;
    set.images[place->second].labels[label] = voc_entry(list, line, fields[1]);
  }
  set.annotations.push_back(file);
}

ListedSet read_voc2007(const Layout& layout, const LayoutOptions& options) {
  const std::string folder = "ImageSets/Main/";
  const std::string list_file = folder + options.split + ".txt";
  const TextLines list(layout.file(list_file));
  ListedSet set{
      TargetSpec::named(TargetKind::multi_label, {voc_classes.begin(), voc_classes.end()}),
      {},
      {list_file}};
  std::map<std::string, size_t> places;
  for (const TextLine& line : list.lines()) {
    const std::string name = list.path_within(line, line.text);
    if (!places.emplace(name, set.images.size()).second) {
      list.fail(line, "an image that no line before names");
    }
    set.images.push_back(
        {"JPEGImages/" + name + ".jpg", -1, std::vector<float>(voc_classes.size())});
  }
  for (size_t label = 0; label < voc_classes.size(); ++label) {
    read_voc_class(layout, fmt::format("{}{}_{}.txt", folder, voc_classes[label], options.split),
                   label, places, set);
  }
  return set;
}

}  // namespace

void add_voc2007(Registrar& registrar) {
  const LayoutDescription description{
      "VOC2007",
      {"VOC2007", "VOCdevkit/VOC2007"},
      "ImageSets/Main",
      "ImageSets/Main/train.txt, … and aeroplane_train.txt, … (for each of the 20 classes and each "
      "split) and JPEGImages/000005.jpg, … in `root` or in its folder VOC2007 or "
      "VOCdevkit/VOC2007"};
  add_layout<LayoutOptions>(
      registrar,
      {"voc2007", "9,963 photos, each with some of 20 labels; difficult objects do not count",
       "Everingham, Van Gool, Williams, Winn and Zisserman, \"The PASCAL Visual Object Classes "
       "Challenge 2007\""},
      layout_schema<LayoutOptions>(
          description, {"train", "val", "trainval", "test"},
          "2,501 images to train with, 2,510 to validate with, both, or 4,952 to test with"),
      description, read_voc2007);
}

}  // namespace bissl
