// The files of an image-folder: broken and changed ones, their names, their order, the fingerprint.

#include "bissl/data_files.h"
#include "bissl/dataset.h"
#include "bissl/error.h"
#include "bissl/file_sequence.h"
#include "bissl/sample_names.h"
#include "image_folder_fixture.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;
using test::gray_image;
using test::ImageFolderTest;
using test::values_of;

TEST_F(ImageFolderTest, ABrokenFileIsAnErrorWithItsPath) {
  image("cat/1.pgm", 1);
  write("cat/2.pgm", "");
  image("cat/3.pgm", 3);
  const auto dataset = open();
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(refusal_of_sample(*dataset, 1),
            "DIR/photos/cat/2.pgm: is empty. Mend or remove the file, or set broken = \"skip\"");
  fs::remove(root() / "cat/3.pgm");
  EXPECT_EQ(refusal_of_sample(*dataset, 2),
            "DIR/photos/cat/3.pgm: is not there; it was when the folder was listed. Mend or remove "
            "the file, or set broken = \"skip\"");
  EXPECT_EQ(refusal_of_sample(*dataset, 0), "no error");
}

/// The listing stays as it was; files are read as they are then.
TEST_F(ImageFolderTest, FilesThatChangeDuringARunAreReadAsTheyAreOrNamed) {
  image("cat/1.pgm", 1);
  image("cat/2.pgm", 2);
  image("cat/3.pgm", 3);
  const auto dataset = open();
  const auto skipping = open({{"broken", std::string("skip")}});
  image("cat/0.pgm", 9);
  image("cat/1.pgm", 7);
  write("cat/2.pgm", gray_image(2).substr(0, 12));
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->get(0).image.pixels[0], 7);
  EXPECT_EQ(refusal_of_sample(*dataset, 1).find("DIR/photos/cat/2.pgm: PNM: is cut short"), 0U)
      << refusal_of_sample(*dataset, 1);
  EXPECT_EQ(values_of(*skipping), (std::vector<int>{7, 3, 3}));
  fs::remove_all(root());
  EXPECT_NE(refusal_of_sample(*dataset, 2).find("is not there; it was when the folder was listed"),
            std::string::npos);
  EXPECT_NE(refusal_of_sample(*skipping, 0).find("no image of class \"cat\" can be read"),
            std::string::npos);
}

TEST_F(ImageFolderTest, ABrokenFileIsReplacedByTheNextOfItsClass) {
  write("cat/1.pgm", "");
  image("cat/2.pgm", 2);
  image("cat/3.pgm", 3);
  write("cat/4.pgm", "P5 2 1");
  write("dog/1.pgm", "");
  write("dog/2.pgm", "");
  const ParameterValues skip{{"broken", std::string("skip")}};
  const auto first_to_last = open(skip);
  const auto last_to_first = open(skip);
  for (int64_t i = 0; i < 4; ++i) {
    const std::vector<int> expected{2, 2, 3, 2};
    EXPECT_EQ(first_to_last->get(i).image.pixels[0], expected[static_cast<size_t>(i)]);
    EXPECT_EQ(last_to_first->get(3 - i).image.pixels[0], expected[static_cast<size_t>(3 - i)]);
    EXPECT_EQ(first_to_last->get(i).target.category, 0);
  }
  EXPECT_EQ(notes_of(*first_to_last),
            (Names{"2 images that could not be read so far, in whose place others with their label "
                   "are taken: \"DIR/photos/cat/1.pgm\", \"DIR/photos/cat/4.pgm\""}));
  EXPECT_EQ(refusal_of_sample(*first_to_last, 4),
            "no image of class \"dog\" can be read; DIR/photos/dog/1.pgm: is empty");
}

TEST_F(ImageFolderTest, SamplesAreCalledByTheirPathsBelowTheRoot) {
  image("cat/deep/1.pgm", 1);
  image("dog/2.pgm", 2);
  const auto names_of = [](Dataset& dataset) {
    const auto* names = capability<SampleNames>(dataset);
    Names all;
    for (int64_t i = 0; names != nullptr && i < dataset.size(); ++i) {
      all.push_back(names->sample_name(i));
    }
    return all;
  };
  EXPECT_EQ(names_of(*open()), (Names{"cat/deep/1.pgm", "dog/2.pgm"}));
  write("list.csv", "dog/2.pgm,b\n./cat/deep/1.pgm,a\n");
  EXPECT_EQ(names_of(*open({{"list", (root() / "list.csv").string()}})),
            (Names{"dog/2.pgm", "./cat/deep/1.pgm"}));
}

/// Folders whose names are beginnings of others, and files between them, are not in the order of
/// bytes when they are listed.
TEST_F(ImageFolderTest, FilesAreHandedOutInTheOrderOfTheirNames) {
  for (const char* name : {"a/z.pgm", "a/b/c.pgm", "a-b/1.pgm", "a.b/1.pgm", "a/b-/c.pgm",
                           "a/b.pgm", "B/1.pgm", "ab/1.pgm"}) {
    image(name, 1);
  }
  const std::string elsewhere = (root() / "ab/../a/z.pgm").string();
  write("list.csv", "ab/1.pgm,x\nz.pgm,x\n" + elsewhere + ",y\na/b.pgm,y\nabsolut.pgm,x\n" +
                        "absolute:0,x\nlist,x\nlist:/a,x\n");
  for (const std::string name : {"z.pgm", "absolut.pgm", "absolute:0", "list", "list:/a"}) {
    image(name, 2);
  }
  const std::vector<ParameterValues> ways{{{"take", std::string("all")}},
                                          {{"list", (root() / "list.csv").string()}}};
  for (const ParameterValues& values : ways) {
    const auto dataset = open(values);
    const auto* sequence = capability<FileSequence>(*dataset);
    ASSERT_NE(sequence, nullptr);
    Names names;
    for (int64_t place = 0; place < sequence->file_count(); ++place) {
      names.push_back(sequence->data_file(place).name);
    }
    EXPECT_TRUE(std::is_sorted(names.begin(), names.end())) << testing::PrintToString(names);
    EXPECT_EQ(dataset->fingerprint(),
              fingerprint_of_files(capability<DataFiles>(*dataset)->data_files()));
  }
}

TEST_F(ImageFolderTest, TheFingerprintIsOfNamesAndContents) {
  image("cat/1.pgm", 1);
  image("dog/2.pgm", 2);
  const std::string before = open()->fingerprint();
  image("dog/2.pgm", 3);
  const std::string changed = open()->fingerprint();
  EXPECT_NE(changed, before);
  image("dog/2.pgm", 2);
  EXPECT_EQ(open()->fingerprint(), before);
  fs::rename(root() / "dog", root() / "wolf");
  EXPECT_NE(open()->fingerprint(), before);
  fs::rename(root() / "wolf", root() / "dog");
  fs::rename(root(), folder_.path() / "moved");
  EXPECT_EQ(open({{"root", (folder_.path() / "moved").string()}})->fingerprint(), before);
}

TEST_F(ImageFolderTest, TheFingerprintOfAListTakesAFileThatIsSkipped) {
  image("1.pgm", 1);
  image("2.pgm", 2);
  write("list.csv", "1.pgm,cat\n2.pgm,cat\nmissing.pgm,cat\npipe.pgm,cat\n");
  ASSERT_EQ(::mkfifo((root() / "pipe.pgm").c_str(), 0600), 0);
  const ParameterValues list{{"list", (root() / "list.csv").string()}};
  ParameterValues skip = list;
  skip["broken"] = std::string("skip");
  EXPECT_THROW(open(list)->fingerprint(), Error);
  const auto dataset = open(skip);
  const std::string before = dataset->fingerprint();
  EXPECT_EQ(before, fingerprint_of_files(capability<DataFiles>(*dataset)->data_files()));
  EXPECT_EQ(values_of(*dataset), (std::vector<int>{1, 2, 1, 1}));
  image("missing.pgm", 3);
  EXPECT_NE(open(skip)->fingerprint(), before);
  fs::remove(root() / "missing.pgm");
  EXPECT_EQ(open(skip)->fingerprint(), before);
  fs::remove(root() / "pipe.pgm");
  image("missing.pgm", 3);
  image("pipe.pgm", 4);
  EXPECT_EQ(open(skip)->fingerprint(), open(list)->fingerprint());
}

}  // namespace
}  // namespace bissl::host
