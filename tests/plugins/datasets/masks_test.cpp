// Images with masks: two folders of files, and VOC2012's segmentation.

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

#include <algorithm>
#include <filesystem>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using Pixels = std::vector<uint8_t>;

const PluginLibrary& mask_library() {
  static const PluginLibrary loaded("image-layouts");
  return loaded;
}

class Masks : public testing::Test {
 protected:
  std::shared_ptr<Dataset> open(ParameterValues values = {},
                                const std::string& name = "masks") const {
    values.emplace("root", root().string());
    return mask_library().make<Dataset>(name, values);
  }
  /// The error of opening it and reading all samples, with DIR for the folder.
  std::string refusal(const ParameterValues& values = {}, const std::string& name = "masks") const {
    return refusal_in(root(), [&] {
      const auto dataset = open(values, name);
      for (int64_t i = 0; i < dataset->size(); ++i) {
        dataset->get(i);
      }
    });
  }
  fs::path root() const { return folder_.path(); }
  void write(const std::string& name, const std::string& content) const {
    write_file(root() / name, content);
  }
  void expect_refusal(const std::string& part, const ParameterValues& values = {},
                      const std::string& name = "masks") const {
    expect_part(refusal(values, name), part);
  }

  TemporaryFolder folder_;
};

Pixels mask_of(const Sample& sample) {
  const Image& mask = sample.target.mask;
  return {mask.pixels, mask.pixels + mask.shape.elements()};
}

TEST_F(Masks, EachImageHasTheMaskOfItsName) {
  make_masks(root());
  const auto dataset = open();
  ASSERT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->targets(), TargetSpec::named(TargetKind::mask, {"ground", "tree", "water"}));
  for (int64_t n = 0; n < 3; ++n) {
    const Sample sample = dataset->get(n);
    EXPECT_EQ(sample.image.shape, (ImageShape{3, 4, 6}));
    EXPECT_NEAR(sample.image.pixels[0], 10 + 4 * n, 1);
    EXPECT_EQ(sample.target.mask.shape, (ImageShape{1, 4, 6}));
    const Pixels mask = mask_of(sample);
    for (size_t i = 0; i < mask.size(); ++i) {
      EXPECT_EQ(mask[i], (static_cast<size_t>(n) + i) % 3);
    }
  }
  EXPECT_EQ(capability<SampleNames>(*dataset)->sample_name(1), "images/b.jpg");
  EXPECT_EQ(open({{"channels", std::string("gray")}})->get(0).image.shape.channels, 1);
}

TEST_F(Masks, ValuesAreThoseOfTheFileWhateverItsKindAndDepth) {
  make_masks(root());
  for (const int depth : {1, 2, 4, 8}) {
    for (const PngKind kind : {PngKind::gray, PngKind::palette}) {
      SCOPED_TRACE(std::to_string(depth) + (kind == PngKind::palette ? " palette" : " gray"));
      const int most = std::min((1 << depth) - 1, 2);
      Pixels values(24);
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<uint8_t>(i * i % static_cast<size_t>(most + 1));
      }
      write("masks/a.png", png_of(6, 4, depth, kind, values));
      EXPECT_EQ(mask_of(open()->get(0)), values);
    }
  }
}

TEST_F(Masks, ClassesHaveTheValuesThatAreGiven) {
  make_masks(root());
  Pixels values(24, 0);
  values[5] = 255;
  values[9] = 7;
  for (const char* name : {"a", "b", "c"}) {
    write(std::string("masks/") + name + ".png", png_of(6, 4, 8, PngKind::gray, values));
  }
  const std::vector<std::string> names{"object", "background"};
  const ParameterValues given{
      {"class_names", names}, {"values", std::vector<int64_t>{255, 0}}, {"ignore", int64_t{7}}};
  Pixels expected(24, 1);
  expected[5] = 0;
  expected[9] = 255;
  EXPECT_EQ(mask_of(open(given)->get(0)), expected);
  expect_refusal(
      "DIR/masks/a.png: has the value 7 at column 3 of row 1; the 2 classes have 255, 0. Name",
      {{"class_names", names}, {"values", std::vector<int64_t>{255, 0}}});
  expect_refusal(
      "DIR/masks/a.png: has the value 7 at column 3 of row 1; the 3 classes have 0 to 2, "
      "and 255 does not count. Name its class");
  expect_refusal("`values` gives 3 to two classes, \"object\" and \"background\"",
                 {{"class_names", names}, {"values", std::vector<int64_t>{3, 3}}});
  expect_refusal("class_names: has 2 classes, but `values` has 1 numbers",
                 {{"class_names", names}, {"values", std::vector<int64_t>{3}}});
  expect_refusal("ignore = 1 is the value of the class \"background\"",
                 {{"class_names", names}, {"ignore", int64_t{1}}});
}

TEST_F(Masks, WhatIsMissingIsNamed) {
  make_masks(root());
  write("masks/d.png", png_of(6, 4, 1, PngKind::gray, Pixels(24)));
  write("masks/e.png", png_of(6, 4, 1, PngKind::gray, Pixels(24)));
  EXPECT_EQ(capability<DataNotes>(*open())->notes().at(0),
            root().string() + "/masks: left out 2 masks without image, d.png first");
  fs::remove(root() / "masks/b.png");
  expect_refusal(
      "DIR/images: 1 of the 3 images there have no mask, b.jpg first: no file "
      "DIR/masks/b.png. Every image needs one");
  write("images/a.png", png_of(6, 4, 1, PngKind::gray, Pixels(24)));
  expect_refusal("DIR/images: has a.jpg and a.png, which differ in their endings alone");
  fs::remove_all(root() / "images");
  expect_refusal("DIR/images: no such folder; images and masks needs it");
  fs::create_directory(root() / "images");
  expect_refusal("DIR: has no image with a mask");
  fs::remove(root() / "classes.txt");
  expect_refusal("DIR: say what the values of the masks are called: by `class_names`");
  fs::remove_all(root() / "masks");
  expect_refusal("DIR: does not hold images and masks: no masks there, but images");
}

TEST_F(Masks, DamagedMasksAreRefusedByTheirPath) {
  make_masks(root());
  write("masks/b.png", png_of(4, 6, 1, PngKind::gray, Pixels(24)));
  expect_refusal(
      "DIR/masks/b.png: is of 4 x 6 pixels, and its image DIR/images/b.jpg of 6 x 4; "
      "expected one size");
  const std::string whole = png_of(6, 4, 8, PngKind::palette, Pixels(24));
  write("masks/b.png", whole.substr(0, whole.size() - 30));
  expect_refusal("DIR/masks/b.png: PNG: ");
  write("masks/b.png", jpeg_of(6, 4, 1));
  expect_refusal("DIR/masks/b.png: is no PNG file: begins with ff d8 ff");
  write("masks/b.png", "");
  expect_refusal("DIR/masks/b.png: is no PNG file: begins with nothing");
  write("masks/b.png", png_of(6, 4, 8, PngKind::colour, Pixels(24)));
  expect_refusal("DIR/masks/b.png: PNG: is in colours or has transparency; a mask has a palette");
  write("masks/b.png", whole);
  expect_refusal("DIR/images/a.jpg: is of 6 x 4 pixels; at most 20 in all are read",
                 {{"max_pixels", int64_t{20}}});
}

TEST_F(Masks, AFileThatVanishesDuringARunIsNamed) {
  make_masks(root());
  const auto dataset = open();
  const auto refusal_of = [&](int64_t index) {
    return refusal_in(root(), [&] { dataset->get(index); });
  };
  fs::remove(root() / "masks/a.png");
  EXPECT_EQ(refusal_of(0), "DIR/masks/a.png: cannot be read: No such file or directory");
  fs::remove(root() / "images/b.jpg");
  EXPECT_EQ(refusal_of(1), "DIR/images/b.jpg: cannot be read: No such file or directory");
  EXPECT_EQ(refusal_of(2), "no error");
}

TEST_F(Masks, TheFingerprintIsOfImagesMasksAndNames) {
  make_masks(root());
  const std::string before = open()->fingerprint();
  EXPECT_EQ(before, open()->fingerprint());
  write("masks/c.png", png_of(6, 4, 2, PngKind::gray, Pixels(24, 1)));
  const std::string other_mask = open()->fingerprint();
  EXPECT_NE(other_mask, before);
  write("classes.txt", "ground\ntree\nsea\n");
  EXPECT_NE(open()->fingerprint(), other_mask);
}

TEST_F(Masks, RulesSpeakOnCombinations) {
  const ParameterValues root{{"root", std::string("x")}};
  const auto findings = [&](ParameterValues values) {
    values.insert(root.begin(), root.end());
    return mask_library().findings("masks", values);
  };
  EXPECT_TRUE(findings({}).empty());
  EXPECT_EQ(findings({{"class_names", std::vector<std::string>{"a", "a"}}}).size(), 1U);
  EXPECT_EQ(findings({{"masks", std::string("../masks")}}).size(), 1U);
  EXPECT_EQ(findings({{"masks", std::string("images")}}).size(), 1U);
}

TEST_F(Masks, Voc2012) {
  make_voc2012(root());
  const auto dataset = open({{"split", std::string("trainval")}}, "voc2012-segmentation");
  ASSERT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->targets().width, 21);
  EXPECT_EQ(dataset->targets().names[20], "tvmonitor");
  for (int64_t n = 0; n < 3; ++n) {
    Pixels expected(24, static_cast<uint8_t>(n));
    expected[0] = 255;
    EXPECT_EQ(mask_of(dataset->get(n)), expected);
  }
  EXPECT_EQ(open({}, "voc2012-segmentation")->size(), 2);
  const std::string base = "VOCdevkit/VOC2012/";
  fs::remove(root() / (base + "SegmentationClass/2007_000063.png"));
  expect_refusal(
      "1 of the 2 masks that ImageSets/Segmentation/train.txt names are not there: no "
      "file DIR/VOCdevkit/VOC2012/SegmentationClass/2007_000063.png first",
      {}, "voc2012-segmentation");
  write(base + "ImageSets/Segmentation/train.txt", "2007_000032\n2007_000032\n");
  expect_refusal("train.txt:2: is \"2007_000032\"; expected an image that no line before names", {},
                 "voc2012-segmentation");
  write(base + "ImageSets/Segmentation/train.txt", "../../secret\n");
  expect_refusal("expected the path of a file below the dataset's folder", {},
                 "voc2012-segmentation");
}

}  // namespace
}  // namespace bissl::host::test
