// cifar10 and cifar100 from made-up files.

#include "bissl/dataset.h"
#include "dataset_folder.h"
#include "dataset_trees.h"
#include "file_writers.h"
#include "refusals.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class Cifar : public DatasetFolder {
 protected:
  Cifar() : DatasetFolder("cifar") {}

  /// Image `index` of a split: see dataset_trees.h.
  static void expect_pixels(const Dataset& dataset, int64_t index, int batch) {
    const Sample sample = dataset.get(index);
    ASSERT_EQ(sample.image.shape, (ImageShape{3, 32, 32}));
    for (int j = 0; j < 3072; ++j) {
      const int channel = j / 1024;
      const int pixel = j % 1024;
      ASSERT_EQ(sample.image.pixels[pixel * 3 + channel],
                static_cast<uint8_t>(index % 2 + 2 * batch + 7 * j))
          << index << ", " << j;
    }
  }
};

TEST_F(Cifar, ReadsBothFormsOfCifar10) {
  std::vector<std::string> fingerprints;
  for (void (*make)(const fs::path&) : {make_cifar10_python, make_cifar10_binary}) {
    make(root());
    const auto train = open("cifar10");
    ASSERT_EQ(train->size(), 10);
    for (int64_t i = 0; i < 10; ++i) {
      expect_pixels(*train, i, static_cast<int>(i) / 2);
      EXPECT_EQ(train->target(i).category, i % 2 + i / 2);
    }
    const auto test = open("cifar10", {{"split", "test"}});
    ASSERT_EQ(test->size(), 2);
    expect_pixels(*test, 1, 5);
    EXPECT_EQ(test->target(1).category, 6);
    EXPECT_EQ(train->targets().names.size(), 10U);
    EXPECT_EQ(train->targets().names[9], "truck");
    EXPECT_NE(train->fingerprint(), test->fingerprint());
    fingerprints.push_back(train->fingerprint());
    EXPECT_EQ(
        library_
            .make<Dataset>("cifar10",
                           {{"root", (root() / (fingerprints.size() == 1 ? "cifar-10-batches-py"
                                                                         : "cifar-10-batches-bin"))
                                         .string()}})
            ->fingerprint(),
        train->fingerprint());
  }
  EXPECT_EQ(fingerprints[0], fingerprints[1]) << "the content is the same in both forms";
}

TEST_F(Cifar, ReadsBothFormsOfCifar100) {
  for (void (*make)(const fs::path&) : {make_cifar100_python, make_cifar100_binary}) {
    make(root());
    const auto fine = open("cifar100");
    ASSERT_EQ(fine->size(), 2);
    expect_pixels(*fine, 1, 0);
    EXPECT_EQ(fine->target(1).category, 3);
    EXPECT_EQ(fine->targets().names[3], "bear");
    const auto coarse = open("cifar100", {{"labels", "coarse"}, {"split", "test"}});
    expect_pixels(*coarse, 0, 1);
    EXPECT_EQ(coarse->target(0).category, 0);
    EXPECT_EQ(coarse->target(1).category, 1);
    EXPECT_EQ(coarse->targets().names, (std::vector<std::string>{"aquatic_mammals", "fish"}));
    EXPECT_NE(open("cifar100")->fingerprint(),
              open("cifar100", {{"labels", "coarse"}})->fingerprint());
    fs::remove_all(root() / "cifar-100-python");
  }
}

TEST_F(Cifar, SaysWhatIsMissingOrCutShort) {
  const std::string nothing = refusal("cifar10");
  expect_part(nothing,
              "DIR: does not hold CIFAR-10: no batches.meta.txt or "
              "cifar-10-batches-bin/batches.meta.txt there, but nothing. Expected: the "
              "binary version (data_batch_1.bin");
  make_cifar10_binary(root());
  const std::string base = "cifar-10-batches-bin/";
  const std::string whole = read(base + "data_batch_3.bin");
  write(base + "data_batch_3.bin", whole.substr(0, whole.size() - 100));
  EXPECT_EQ(
      refusal("cifar10"),
      "DIR/cifar-10-batches-bin/data_batch_3.bin: has 6046 bytes; expected a multiple of 3073: "
      "1 of labels and 3 x 32 x 32 of pixels for each image; fetch the file again");
  std::string wrong = whole;
  wrong[3073] = 10;
  write(base + "data_batch_3.bin", wrong);
  EXPECT_EQ(
      refusal("cifar10"),
      "DIR/cifar-10-batches-bin/data_batch_3.bin: label 10 of sample 5 of the split is out of "
      "range; expected 0 to 9");
  write(base + "data_batch_3.bin", "");
  expect_part(refusal("cifar10"), "data_batch_3.bin: has 0 bytes");
  fs::remove(root() / base / "data_batch_3.bin");
  expect_part(refusal("cifar10"),
              "DIR/cifar-10-batches-bin/data_batch_3.bin: no such file; CIFAR-10 needs it, and "
              "DIR/cifar-10-batches-bin holds batches.meta.txt, data_batch_1.bin");
}

TEST_F(Cifar, SaysWhereEitherFormLies) {
  for (void (*make)(const fs::path&) : {make_cifar10_python, make_cifar10_binary}) {
    make(root() / "below");
    expect_part(refusal("cifar10"), " there, but below. It is in DIR/below: set `root` to that. ");
    fs::remove_all(root() / "below");
  }
}

TEST_F(Cifar, RefusesPicklesThatAreNotAsTheyShouldBe) {
  make_cifar100_python(root());
  const std::string file = "cifar-100-python/train";
  const auto batch = [&](const std::string& data, const std::vector<std::string>& labels) {
    write(file,
          pickled::file(pickled::dict({{"data", data}, {"fine_labels", pickled::list(labels)}})));
    return refusal("cifar100");
  };
  const std::string image(3072, 'x');
  EXPECT_EQ(
      batch(pickled::array(1, 3072, image), {pickled::integer(5)}),
      "DIR/cifar-100-python/train: label 5 of sample 0 of the split is out of range; expected "
      "0 to 4");
  EXPECT_EQ(
      batch(pickled::array(1, 3072, image), {pickled::integer(-1)}),
      "DIR/cifar-100-python/train: label -1 of sample 0 of the split is out of range; expected "
      "0 to 4");
  EXPECT_EQ(batch(pickled::array(2, 3072, image), {pickled::integer(0)}),
            "DIR/cifar-100-python/train: holds 1 images and 1 labels, and its array says 2");
  EXPECT_EQ(batch(pickled::array(1, 3072, image), {}),
            "DIR/cifar-100-python/train: holds 1 images and 0 labels, and its array says 1");
  expect_part(batch(pickled::array(1, 3071, image), {pickled::integer(0)}),
              "its \"data\" is no NumPy array of unsigned bytes, N x 3072");
  expect_part(batch(pickled::bytes(image), {pickled::integer(0)}), "is no NumPy array");
  expect_part(batch(pickled::array(1, 3072, image), {pickled::bytes("0")}),
              "its \"fine_labels\" are no list of integers: entry 0 is none");
  write(file, pickled::file(pickled::dict({{"data", pickled::array(1, 3072, image)}})));
  expect_part(refusal("cifar100"), "has no \"fine_labels\"");
  write(file,
        "\x80\x02"
        "cposix\nsystem\nU\x02ls\x85R.");
  expect_part(refusal("cifar100"), "wants posix.system, which is refused");
  write(file, "not a pickle");
  expect_part(refusal("cifar100"), "does not start as a pickle");
  make_cifar100_python(root());
  write("cifar-100-python/meta",
        pickled::file(pickled::dict(
            {{"fine_label_names", pickled::list({pickled::bytes("a"), pickled::bytes("a")})}})));
  expect_part(refusal("cifar100"), "the name \"a\" of class 1 is empty or occurs twice");
}

}  // namespace
}  // namespace bissl::host::test
