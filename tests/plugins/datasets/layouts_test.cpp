// The library image-layouts: each dataset from a small made-up tree in its official layout, and
// what wrong, partial or shifted trees get.

#include "dataset_trees.h"
#include "file_writers.h"
#include "refusals.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"

#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/dataset.h"
#include "bissl/error.h"
#include "bissl/sample_names.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <set>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

const PluginLibrary& library() {
  static const PluginLibrary loaded("image-layouts");
  return loaded;
}

/// The gray value of the image that a tree's writer wrote as its n-th; JPEG keeps it to 1.
int value_of(int place) { return 10 + 4 * place; }

/// The place in the tree and the category of each sample.
std::vector<std::pair<int, int64_t>> content(const Dataset& dataset) {
  std::vector<std::pair<int, int64_t>> samples;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const Sample sample = dataset.get(i);
    EXPECT_EQ(sample.image.shape, (ImageShape{3, 4, 6}));
    EXPECT_EQ(dataset.target(i).category, sample.target.category);
    samples.emplace_back((sample.image.pixels[0] - value_of(0) + 2) / 4, sample.target.category);
  }
  return samples;
}

using Samples = std::vector<std::pair<int, int64_t>>;

class Layouts : public testing::Test {
 protected:
  std::shared_ptr<Dataset> open(const std::string& name, ParameterValues values = {}) const {
    values.emplace("root", folder_.path().string());
    return library().make<Dataset>(name, values);
  }
  std::string refusal(const std::string& name, const ParameterValues& values = {}) const {
    return refusal_in(root(), [&] { open(name, values); });
  }
  fs::path root() const { return folder_.path(); }
  void write(const std::string& name, const std::string& content) const {
    write_file(root() / name, content);
  }

  TemporaryFolder folder_;
};

TEST_F(Layouts, Food101) {
  make_food101(root());
  EXPECT_EQ(open("food-101")->targets().names, (std::vector<std::string>{"apple_pie", "waffles"}));
  EXPECT_EQ(content(*open("food-101")), (Samples{{0, 0}, {1, 0}, {2, 1}}));
  EXPECT_EQ(content(*open("food-101", {{"split", "test"}})), (Samples{{3, 1}, {4, 0}}));
  write("food-101/meta/train.txt", "pizza/1\n");
  EXPECT_EQ(refusal("food-101"),
            "DIR/food-101/meta/train.txt:1: is \"pizza/1\"; expected one of the 2 classes of this "
            "dataset in place of \"pizza\"");
}

TEST_F(Layouts, Caltech101) {
  make_caltech101(root());
  EXPECT_EQ(open("caltech-101")->targets().names, (std::vector<std::string>{"Faces", "accordion"}));
  const Samples train = content(*open("caltech-101"));
  const Samples test = content(*open("caltech-101", {{"split", "test"}}));
  const Samples all = content(*open("caltech-101", {{"split", "all"}}));
  EXPECT_EQ(train.size(), 60U);
  EXPECT_EQ(test.size(), 5U);
  EXPECT_EQ(all.size(), 65U);
  std::set<std::pair<int, int64_t>> both(train.begin(), train.end());
  both.insert(test.begin(), test.end());
  EXPECT_EQ(both, (std::set<std::pair<int, int64_t>>(all.begin(), all.end())))
      << "the two are the whole and have nothing in common";
  EXPECT_NE(content(*open("caltech-101", {{"split", "test"}, {"split_seed", int64_t{1}}})), test);
  EXPECT_EQ(content(*open("caltech-101", {{"split", "test"}})), test);
  EXPECT_EQ(open("caltech-101", {{"background", true}})->targets().names.size(), 3U);
  EXPECT_EQ(refusal("caltech-101", {{"train_per_class", int64_t{32}}}),
            "DIR/caltech-101/101_ObjectCategories/accordion: holds 32 images (.jpg); a split with "
            "train_per_class = 32 needs more");
  fs::create_directory(root() / "caltech-101/101_ObjectCategories/ant");
  for (const char* split : {"train", "test", "all"}) {
    EXPECT_EQ(
        refusal("caltech-101", {{"split", split}}),
        "DIR/caltech-101/101_ObjectCategories/ant: holds no images (.jpg); expected "
        "image_0001.jpg, … in the folder of each class. Unpack the archive again, or take the "
        "folder away");
  }
}

TEST_F(Layouts, Sun397) {
  make_sun397(root());
  EXPECT_EQ(open("sun397")->targets().names,
            (std::vector<std::string>{"abbey", "apartment_building/outdoor", "zoo"}));
  EXPECT_EQ(content(*open("sun397")), (Samples{{0, 0}, {1, 1}}));
  EXPECT_EQ(content(*open("sun397", {{"split", "test"}})), (Samples{{2, 2}, {3, 0}}));
  EXPECT_EQ(content(*open("sun397", {{"partition", int64_t{2}}})), (Samples{{2, 2}, {3, 0}}));
  EXPECT_EQ(content(*open("sun397", {{"split", "all"}})),
            (Samples{{0, 0}, {3, 0}, {1, 1}, {2, 2}}));
  expect_part(
      refusal("sun397", {{"partition", int64_t{3}}}),
      "DIR/SUN397/Partitions/Training_03.txt: no such file; SUN397 needs it, and "
      "DIR/SUN397/Partitions holds Testing_02.txt, Training_02.txt. Expected: ClassName.txt");
  write("SUN397/Training_01.txt", "/b/bakery/sun_x.jpg\n");
  expect_part(refusal("sun397"), "Training_01.txt:1: is \"/b/bakery/sun_x.jpg\"; expected one of");
  fs::remove(root() / "SUN397/z/zoo/sun_c.jpg");
  EXPECT_EQ(refusal("sun397", {{"split", "all"}}),
            "DIR/SUN397/z/zoo: holds no images, and ClassName.txt names it as a class. Unpack the "
            "archive again, or take the line away");
  fs::remove(root() / "SUN397/z/zoo");
  expect_part(refusal("sun397", {{"split", "all"}}),
              "DIR/SUN397/z/zoo: no such folder; SUN397 needs");
}

TEST_F(Layouts, StanfordCars) {
  make_stanford_cars(root());
  EXPECT_EQ(open("stanford-cars")->targets().names,
            (std::vector<std::string>{"AM General Hummer SUV 2000", "Acura RL Sedan 2012",
                                      "smart fortwo Convertible 2012"}));
  EXPECT_EQ(content(*open("stanford-cars")), (Samples{{0, 2}, {1, 0}}));
  EXPECT_EQ(content(*open("stanford-cars", {{"split", "test"}})), (Samples{{2, 1}}));
  // The labels of the test set come in a file by itself, which some put to the other lists.
  const fs::path labels = root() / "stanford_cars/cars_test_annos_withlabels.mat";
  fs::rename(labels, root() / "stanford_cars/devkit/cars_test_annos_withlabels.mat");
  EXPECT_EQ(content(*open("stanford-cars", {{"split", "test"}})), (Samples{{2, 1}}));
  fs::rename(root() / "stanford_cars/devkit/cars_test_annos_withlabels.mat", labels);
  fs::copy_file(root() / "stanford_cars/devkit/cars_meta.mat",
                root() / "stanford_cars/cars_test_annos_withlabels.mat",
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(refusal("stanford-cars", {{"split", "test"}}),
            "DIR/stanford_cars/cars_test_annos_withlabels.mat: has no structure \"annotations\"; "
            "expected one with the fields \"fname\" and \"class\" of each image");
  // The test set's annotations as they are in the devkit: without labels.
  write(
      "stanford_cars/cars_test_annos_withlabels.mat",
      mat::file({mat::structure("annotations", {1, 1}, {"fname"}, {mat::text("", "00001.jpg")})}));
  EXPECT_EQ(refusal("stanford-cars", {{"split", "test"}}),
            "DIR/stanford_cars/cars_test_annos_withlabels.mat: entry 1 has no fields \"fname\" and "
            "\"class\"; the file with the labels of the test set is needed");
  for (const auto& [name, label, part] : std::vector<std::tuple<std::string, char, std::string>>{
           {"00001.jpg", '\x04', "the class of entry 1 is 4; expected a whole number from 1 to 3"},
           {"00001.jpg", '\0', "the class of entry 1 is 0; expected a whole number from 1 to 3"},
           {"../devkit/x.jpg", '\x01',
            "the \"fname\" of entry 1 is no name of a file; expected one as 00001.jpg"}}) {
    write("stanford_cars/devkit/cars_train_annos.mat",
          mat::file({mat::structure(
              "annotations", {1, 1}, {"class", "fname"},
              {mat::bytes("", {1, 1}, std::string(1, label)), mat::text("", name)})}));
    expect_part(refusal("stanford-cars"), part);
  }
  write("stanford_cars/devkit/cars_train_annos.mat",
        mat::file({mat::structure("annotations", {1, 1}, {"class", "fname"},
                                  {mat::doubles("", {1, 1}, {1.5}), mat::text("", "00001.jpg")})}));
  expect_part(refusal("stanford-cars"),
              "the class of entry 1 is 1.5; expected a whole number from 1 to 3");
  write("stanford_cars/devkit/cars_meta.mat", mat::file({}));
  expect_part(
      refusal("stanford-cars"),
      "cars_meta.mat: has no cell array \"class_names\"; expected one with the name of each "
      "class");
}

TEST_F(Layouts, FgvcAircraftOnThreeLevels) {
  make_fgvc_aircraft(root());
  const auto test = [&](const std::string& level) {
    return content(*open("fgvc-aircraft", {{"split", "test"}, {"level", level}}));
  };
  EXPECT_EQ(test("variant"), (Samples{{2, 2}, {3, 0}}));
  EXPECT_EQ(test("family"), (Samples{{2, 2}, {3, 0}}));
  EXPECT_EQ(test("manufacturer"), (Samples{{2, 1}, {3, 0}}));
  EXPECT_EQ(open("fgvc-aircraft", {{"level", "family"}})->targets().names,
            (std::vector<std::string>{"Boeing 707", "Boeing 747", "An-12"}));
  EXPECT_EQ(content(*open("fgvc-aircraft")), (Samples{{0, 0}}));
  EXPECT_EQ(content(*open("fgvc-aircraft", {{"split", "val"}})), (Samples{{1, 1}}));
  EXPECT_EQ(content(*open("fgvc-aircraft", {{"split", "trainval"}})), (Samples{{0, 0}, {1, 1}}));
  write("fgvc-aircraft-2013b/data/images_variant_train.txt", "0034309\n");
  expect_part(
      refusal("fgvc-aircraft"),
      "images_variant_train.txt:1: is \"0034309\"; expected the number of an image, a space "
      "and its class");
  write("fgvc-aircraft-2013b/data/images_family_train.txt",
        "0034309 Boeing 707\n0034958 Concorde\n");
  expect_part(
      refusal("fgvc-aircraft", {{"level", "family"}}),
      "images_family_train.txt:2: is \"0034958 Concorde\"; expected one of the 3 classes of "
      "this dataset in place of \"Concorde\"");
}

TEST_F(Layouts, Voc2007WithDifficultObjects) {
  make_voc2007(root());
  const auto dataset = open("voc2007", {{"split", "trainval"}});
  EXPECT_EQ(dataset->targets().kind, TargetKind::multi_label);
  ASSERT_EQ(dataset->targets().names.size(), 20U);
  ASSERT_EQ(dataset->size(), 3);
  const std::vector<std::string> names = dataset->targets().names;
  for (int64_t i = 0; i < 3; ++i) {
    const Target target = dataset->target(i);
    ASSERT_EQ(target.values.size(), 20U);
    for (size_t k = 0; k < 20; ++k) {
      const std::string what = std::to_string(i) + " " + names[k];
      if (what == "0 bottle") {
        EXPECT_TRUE(std::isnan(target.values[k])) << "difficult objects do not count";
      } else {
        EXPECT_EQ(target.values[k], what == "0 chair" || what == "1 car" ? 1.0F : 0.0F) << what;
      }
    }
  }
  EXPECT_EQ(open("voc2007")->size(), 1);
  EXPECT_EQ(open("voc2007", {{"split", "test"}})->size(), 1);
  const std::string sets = "VOCdevkit/VOC2007/ImageSets/Main/";
  write(sets + "dog_train.txt", "000012 2\n");
  expect_part(refusal("voc2007"),
              "dog_train.txt:1: is \"000012 2\"; expected 1, 0 (difficult) or -1, a number from -1 "
              "to 1");
  write(sets + "dog_train.txt", "000013 -1\n");
  expect_part(refusal("voc2007"),
              "dog_train.txt:1: is \"000013 -1\"; expected an image of the split");
  write(sets + "dog_train.txt", "000012 -1\n000012 -1\n");
  expect_part(refusal("voc2007"), "dog_train.txt: has 2 lines, but the list of the split has 1");
  fs::remove(root() / (sets + "dog_train.txt"));
  expect_part(refusal("voc2007"), "dog_train.txt: no such file; VOC2007 needs it");
}

TEST_F(Layouts, Dtd) {
  make_dtd(root());
  EXPECT_EQ(open("dtd")->targets().names, (std::vector<std::string>{"banded", "zigzagged"}));
  EXPECT_EQ(content(*open("dtd")), (Samples{{0, 0}, {2, 1}}));
  EXPECT_EQ(content(*open("dtd", {{"split", "trainval"}})), (Samples{{0, 0}, {2, 1}, {1, 0}}));
  EXPECT_EQ(content(*open("dtd", {{"split", "test"}})), (Samples{{3, 1}}));
  EXPECT_EQ(content(*open("dtd", {{"partition", int64_t{2}}})), (Samples{{1, 0}}));
  EXPECT_EQ(open("dtd", {{"partition", int64_t{2}}})->targets().names.size(), 2U);
  expect_part(refusal("dtd", {{"partition", int64_t{10}}}), "labels/train10.txt: no such file");
  write("dtd/labels/val1.txt", "banded_0004.jpg\n");
  expect_part(refusal("dtd"), "val1.txt:1: is \"banded_0004.jpg\"; expected a class, a slash");
}

TEST_F(Layouts, OxfordPets) {
  make_oxford_pets(root());
  EXPECT_EQ(open("oxford-pets")->targets().names,
            (std::vector<std::string>{"Abyssinian", "american_bulldog", "Bengal"}));
  EXPECT_EQ(content(*open("oxford-pets")), (Samples{{0, 0}, {1, 1}, {2, 2}}));
  EXPECT_EQ(content(*open("oxford-pets", {{"split", "test"}})), (Samples{{3, 1}, {4, 0}}));
  const auto species = open("oxford-pets", {{"level", "species"}});
  EXPECT_EQ(species->targets().names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(content(*species), (Samples{{0, 0}, {1, 1}, {2, 0}}));
  const std::string list = "oxford-iiit-pet/annotations/trainval.txt";
  write(list, "Abyssinian_100 1 1 1\nBengal_10 4 1 2\n");
  EXPECT_EQ(refusal("oxford-pets"),
            "DIR/oxford-iiit-pet: class 3 of the lists has no image, although there are classes of "
            "higher numbers");
  write(list, "Abyssinian_100 2 1 1\n");
  expect_part(refusal("oxford-pets"),
              "test.txt:1: is \"american_bulldog_201 2 2 1\"; expected an "
              "image of Abyssinian, as other lines call class 2");
  write(list, "Abyssinian_100 1 3 1\n");
  expect_part(refusal("oxford-pets"), "expected a species, a number from 1 to 2 in place of \"3\"");
}

TEST_F(Layouts, Flowers102) {
  make_flowers102(root());
  EXPECT_EQ(content(*open("flowers-102")), (Samples{{1, 0}, {0, 1}}));
  EXPECT_EQ(content(*open("flowers-102", {{"split", "val"}})), (Samples{{2, 101}}));
  EXPECT_EQ(content(*open("flowers-102", {{"split", "test"}})), (Samples{{3, 0}, {4, 2}}));
  const auto names = open("flowers-102")->targets().names;
  ASSERT_EQ(names.size(), 102U);
  EXPECT_EQ(names.back(), "102");
  write("flowers-102/setid.mat", mat::file({mat::doubles("trnid", {1, 1}, {6})}));
  EXPECT_EQ(
      refusal("flowers-102"),
      "DIR/flowers-102/setid.mat: its \"trnid\" names image 6; expected 1 to 5, the number of "
      "labels in imagelabels.mat");
  EXPECT_EQ(refusal("flowers-102", {{"split", "test"}}),
            "DIR/flowers-102/setid.mat: has no variable \"tstid\"");
  for (const int label : {0, 103}) {
    write("flowers-102/imagelabels.mat",
          mat::file({mat::doubles("labels", {1, 1}, {static_cast<double>(label)})}));
    expect_part(refusal("flowers-102"), "label " + std::to_string(label) +
                                            " of image 1 is out of range; expected 1 to 102");
  }
}

TEST_F(Layouts, Cub200) {
  make_cub200(root());
  EXPECT_EQ(open("cub-200-2011")->targets().names,
            (std::vector<std::string>{"Black_footed_Albatross", "Laysan_Albatross"}));
  EXPECT_EQ(content(*open("cub-200-2011")), (Samples{{1, 0}, {2, 1}}));
  EXPECT_EQ(content(*open("cub-200-2011", {{"split", "test"}})), (Samples{{0, 0}}));
  write("CUB_200_2011/image_class_labels.txt", "1 1\n2 2\n3 2\n");
  expect_part(refusal("cub-200-2011"),
              "images.txt:2: is \"2 001.Black_footed_Albatross/Black_2.jpg\"; expected an image in "
              "the folder of Laysan_Albatross, its class by image_class_labels.txt");
  write("CUB_200_2011/image_class_labels.txt", "1 1\n2 1\n");
  expect_part(refusal("cub-200-2011"),
              "images.txt:3: is \"3 002.Laysan_Albatross/Laysan_1.jpg\"; expected an image that "
              "image_class_labels.txt and train_test_split.txt have as well");
  for (const std::string label : {"3", "0", "-1", "99999999999999999999"}) {
    write("CUB_200_2011/image_class_labels.txt", "1 1\n2 1\n3 " + label + "\n");
    expect_part(refusal("cub-200-2011"),
                "expected a class, a number from 1 to 2 in place of \"" + label + "\"");
  }
}

/// What all of them have in common, for each.
struct LayoutCase {
  const char* name;
  void (*make)(const fs::path&);
  const char* folder;  ///< the official one below the root
  const char* image;   ///< one of the split that is the default
};

class EachLayout : public Layouts, public testing::WithParamInterface<LayoutCase> {
 protected:
  EachLayout() { GetParam().make(root()); }
};

TEST_P(EachLayout, IsFoundInItsFolderAndInTheOneAbove) {
  const std::string within = (root() / GetParam().folder).string();
  EXPECT_EQ(open(GetParam().name)->fingerprint(),
            open(GetParam().name, {{"root", within}})->fingerprint())
      << "the fingerprint does not depend on where the files lie";
}

TEST_P(EachLayout, NamesItsFiles) {
  const auto dataset = open(GetParam().name);
  const auto* files = capability<DataFiles>(*dataset);
  ASSERT_NE(files, nullptr);
  std::set<std::string> names;
  for (const DataFile& file : files->data_files()) {
    EXPECT_TRUE(fs::is_regular_file(file.path)) << file.path;
    EXPECT_TRUE(file.path.ends_with("/" + file.name)) << file.path;
    names.insert(file.name);
  }
  EXPECT_TRUE(names.contains(GetParam().image)) << GetParam().image;
  EXPECT_GE(static_cast<int64_t>(names.size()), dataset->size());
  const std::string before = dataset->fingerprint();
  write(std::string(GetParam().folder) + "/" + GetParam().image, jpeg_of(6, 4, 200));
  EXPECT_NE(open(GetParam().name)->fingerprint(), before);
}

TEST_P(EachLayout, SaysWhatIsExpectedWhere) {
  const std::string elsewhere = (root() / "nowhere").string();
  expect_part(refusal(GetParam().name, {{"root", elsewhere}}),
              "DIR/nowhere: no such folder; `root`");
  fs::create_directory(root() / "nowhere");
  write("nowhere/readme.txt", "x");
  const std::string text = refusal(GetParam().name, {{"root", elsewhere}});
  expect_part(text, "DIR/nowhere: does not hold ");
  expect_part(text, " there, but readme.txt. It is in DIR: set `root` to that. Expected: ");
}

TEST_P(EachLayout, FindsATreeThatIsShifted) {
  TemporaryFolder above;
  fs::rename(root(), above.path() / "unpacked");
  fs::create_directory(root());
  expect_part(refusal(GetParam().name, {{"root", above.path().string()}}),
              "It is in " + (above.path() / "unpacked").string() + ": set `root` to that.");
}

TEST_P(EachLayout, RefusesAnImageThatIsNotThere) {
  const fs::path image = root() / GetParam().folder / GetParam().image;
  fs::remove(image);
  if (std::string(GetParam().name) == "caltech-101") {
    EXPECT_EQ(refusal(GetParam().name), "no error") << "what is in the folders is what there is";
    return;
  }
  const std::string text = refusal(GetParam().name);
  expect_part(text, ": 1 of the ");
  expect_part(text, "first: no file DIR/" + std::string(GetParam().folder) + "/" +
                        GetParam().image + "; that folder holds ");
}

TEST_P(EachLayout, NamesAnImageThatIsDamaged) {
  const auto dataset = open(GetParam().name);
  write(std::string(GetParam().folder) + "/" + GetParam().image, "no image");
  int broken = 0;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    try {
      dataset->get(i);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      expect_part(error.what(), GetParam().image);
      ++broken;
    }
  }
  EXPECT_EQ(broken, 1);
}

TEST_P(EachLayout, NamesAnImageThatVanishesDuringARun) {
  const auto dataset = open(GetParam().name);
  const auto skipping = open(GetParam().name, {{"broken", std::string("skip")}});
  fs::remove(root() / GetParam().folder / GetParam().image);
  const std::string path = "DIR/" + std::string(GetParam().folder) + "/" + GetParam().image;
  int gone = 0;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    const std::string text = refusal_in(root(), [&] { dataset->get(i); });
    if (text != "no error") {
      EXPECT_EQ(text, path +
                          ": cannot be read: No such file or directory. Unpack the file again, or "
                          "set broken = \"skip\"");
      ++gone;
      refusal_in(root(), [&] { skipping->get(i); });
    }
  }
  EXPECT_EQ(gone, 1);
  const std::vector<std::string> notes = capability<DataNotes>(*skipping)->notes();
  ASSERT_EQ(notes.size(), 1U);
  expect_part(notes[0], GetParam().image);
}

TEST_P(EachLayout, SkipsAndCountsAnImageThatIsDamaged) {
  write(std::string(GetParam().folder) + "/" + GetParam().image, "no image");
  const auto dataset = open(GetParam().name, {{"broken", std::string("skip")}});
  int alone = 0;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    try {
      const Sample sample = dataset->get(i);
      EXPECT_EQ(sample.target.category, dataset->target(i).category);
    } catch (const Error& error) {  // no other image has its target
      expect_part(error.what(), "can be read; ");
      expect_part(error.what(), GetParam().image);
      ++alone;
    }
  }
  EXPECT_LE(alone, 1);
  const std::vector<std::string> notes = capability<DataNotes>(*dataset)->notes();
  ASSERT_EQ(notes.size(), 1U);
  expect_part(notes[0], "1 image that could not be read so far");
  expect_part(notes[0], GetParam().image);
}

TEST_P(EachLayout, CallsSamplesByTheirPaths) {
  const auto dataset = open(GetParam().name);
  const auto* names = capability<SampleNames>(*dataset);
  ASSERT_NE(names, nullptr);
  std::set<std::string> all;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    all.insert(names->sample_name(i));
  }
  EXPECT_EQ(static_cast<int64_t>(all.size()), dataset->size());
  EXPECT_TRUE(all.contains(GetParam().image));
}

TEST_P(EachLayout, RefusesAnIndexOutOfRange) {
  const auto dataset = open(GetParam().name);
  for (const int64_t index : {int64_t{-1}, dataset->size()}) {
    EXPECT_THROW(dataset->get(index), Error);
    EXPECT_THROW(dataset->target(index), Error);
  }
}

TEST_P(EachLayout, SaysInItsDescriptionWhatIsExpected) {
  for (const ParameterSpec& spec : library().component(GetParam().name).parameters) {
    if (spec.name == "root") {
      expect_part(spec.doc, "folder with ");
      expect_part(spec.doc, " in `root` or in its folder");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EachLayout,
    testing::Values(
        LayoutCase{"caltech-101", make_caltech101, "caltech-101",
                   "101_ObjectCategories/Faces/image_0003.jpg"},
        LayoutCase{"cub-200-2011", make_cub200, "CUB_200_2011",
                   "images/002.Laysan_Albatross/Laysan_1.jpg"},
        LayoutCase{"dtd", make_dtd, "dtd", "images/banded/banded_0002.jpg"},
        LayoutCase{"fgvc-aircraft", make_fgvc_aircraft, "fgvc-aircraft-2013b",
                   "data/images/0034309.jpg"},
        LayoutCase{"flowers-102", make_flowers102, "flowers-102", "jpg/image_00001.jpg"},
        LayoutCase{"food-101", make_food101, "food-101", "images/waffles/1009.jpg"},
        LayoutCase{"oxford-pets", make_oxford_pets, "oxford-iiit-pet", "images/Bengal_10.jpg"},
        LayoutCase{"stanford-cars", make_stanford_cars, "stanford_cars", "cars_train/00002.jpg"},
        LayoutCase{"sun397", make_sun397, "SUN397", "a/abbey/sun_a.jpg"},
        LayoutCase{"voc2007", make_voc2007, "VOCdevkit/VOC2007", "JPEGImages/000012.jpg"}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::erase(name, '-');
      return name;
    });

TEST_F(Layouts, ListsMayNotLeadElsewhere) {
  make_food101(root());
  write("food-101/meta/train.txt", "apple_pie/../../../secret\n");
  expect_part(refusal("food-101"),
              "expected the path of a file below the dataset's folder, without "
              "\"..\"");
  write("food-101/meta/train.txt", "/etc/passwd\n");
  expect_part(refusal("food-101"), "train.txt:1: is \"/etc/passwd\"; expected the path of a file");
  write("food-101/meta/train.txt", "apple_pie/1005649\napple_pie/1005649\n");
  EXPECT_EQ(refusal("food-101"),
            "DIR/food-101: the lists of this split name the image "
            "images/apple_pie/1005649.jpg twice");
}

/// As root reads everything, the dataset is opened by a child process of another user.
TEST_F(Layouts, AFolderWithoutPermissionIsNamed) {
  make_food101(root());
  open("food-101");  // loads the library before the rights are given up
  fs::permissions(root(), fs::perms::all);
  const auto expect_refusal = [&](const fs::path& closed, const std::string& begin) {
    const fs::perms before = fs::status(closed).permissions();
    fs::permissions(closed, fs::perms::none);
    const pid_t child = ::fork();
    if (child == 0) {
      const bool right =
          (::geteuid() != 0 || ::seteuid(65534) == 0) && refusal("food-101").starts_with(begin);
      ::_exit(right ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << closed.string();
    fs::permissions(closed, before);
  };
  expect_refusal(root() / "food-101/images/apple_pie",
                 "DIR/food-101/images/apple_pie/1005649.jpg: cannot be looked up: Permission "
                 "denied; meta/train.txt names it. Expected is a folder whose files may be read");
  expect_refusal(root() / "food-101/meta",
                 "DIR/food-101/meta/classes.txt: cannot be looked up: Permission denied; it may "
                 "hold Food-101. Expected: meta/classes.txt");
  expect_refusal(root(), "DIR/meta/classes.txt: cannot be looked up: Permission denied");
}

TEST_F(Layouts, ImagesBecomeWhatIsAskedFor) {
  make_food101(root());
  EXPECT_EQ(open("food-101", {{"channels", "gray"}})->get(0).image.shape, (ImageShape{1, 4, 6}));
  EXPECT_EQ(open("food-101", {{"size", int64_t{2}}})->get(0).image.shape, (ImageShape{3, 2, 3}));
}

}  // namespace
}  // namespace bissl::host::test
