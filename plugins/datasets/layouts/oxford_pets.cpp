#include "layouts.h"

#include "bissl/error.h"

namespace bissl {
namespace {

struct OxfordPetsOptions {
  std::string root;
  std::string split = "trainval";
  std::string level = "breed";
  std::string broken = "error";
  ImageOptions image;
};

constexpr int64_t most_breeds = 1000;

/// What a line of a list says: "Abyssinian_100 1 1 1".
struct PetLine {
  std::string image;
  int64_t breed = 0;    ///< from 1
  int64_t species = 0;  ///< 1 cat, 2 dog
};

PetLine read_pet_line(const TextLines& list, const TextLine& line) {
  const std::vector<std::string> fields = list.fields(
      line, 4, "an image, its class, its species and its breed, as in Abyssinian_100 1 1 1");
  PetLine pet{list.path_within(line, fields[0]),
              list.number(line, fields[1], 1, most_breeds, "a class, a number"),
              list.number(line, fields[2], 1, 2, "a species, a number")};
  if (before_last(pet.image, '_') == pet.image) {
    list.fail(line, "an image that is called by its breed, as in Abyssinian_100");
  }
  return pet;
}

/// Notes what the breed of an image is called.
void name_breed(const TextLines& list, const TextLine& line, const PetLine& pet,
                std::vector<std::string>& names) {
  const auto place = static_cast<size_t>(pet.breed - 1);
  names.resize(std::max(names.size(), place + 1));
  const std::string name = before_last(pet.image, '_');
  if (!names[place].empty() && names[place] != name) {
    list.fail(line,
              fmt::format("an image of {}, as other lines call class {}", names[place], pet.breed));
  }
  names[place] = name;
}

ListedSet read_oxford_pets(const Layout& layout, const OxfordPetsOptions& options) {
  ListedSet set;
  std::vector<std::string> names;
  for (const std::string part : {"trainval", "test"}) {
    const std::string list_file = fmt::format("annotations/{}.txt", part);
    const TextLines list(layout.file(list_file));
    set.annotations.push_back(list_file);
    for (const TextLine& line : list.lines()) {
      if (line.text.front() == '#') {
        continue;
      }
      const PetLine pet = read_pet_line(list, line);
      name_breed(list, line, pet, names);
      if (part == options.split) {
        set.images.push_back({"images/" + pet.image + ".jpg",
                              (options.level == "breed" ? pet.breed : pet.species) - 1});
      }
    }
  }
  ClassList classes;
  for (const std::string& name : names) {
    if (name.empty() || !classes.add(name)) {
      fail_input("{}: class {} of the lists has {}", layout.base().string(), classes.size() + 1,
                 name.empty() ? "no image, although there are classes of higher numbers"
                              : "the name of another one");
    }
  }
  set.targets = TargetSpec::named(
      TargetKind::category,
      options.level == "breed" ? classes.names() : std::vector<std::string>{"cat", "dog"});
  return set;
}

}  // namespace

void add_oxford_pets(Registrar& registrar) {
  const LayoutDescription description{"Oxford-IIIT Pets",
                                      {"oxford-iiit-pet"},
                                      "annotations/trainval.txt",
                                      "annotations/trainval.txt, annotations/test.txt and "
                                      "images/Abyssinian_1.jpg, … in `root` or in "
                                      "its folder oxford-iiit-pet"};
  auto schema = layout_schema<OxfordPetsOptions>(
      description, {"trainval", "test"}, "3,680 images to train with or 3,669 to test with");
  schema
      .add("level", &OxfordPetsOptions::level,
           "what the classes are: 37 breeds, or the species cat and dog")
      .choices({"breed", "species"});
  add_layout<OxfordPetsOptions>(
      registrar,
      {"oxford-pets", "7,349 photos of cats and dogs, 37 breeds",
       "Parkhi, Vedaldi, Zisserman and Jawahar, \"Cats and Dogs\", CVPR 2012"},
      schema, description, read_oxford_pets);
}

}  // namespace bissl
