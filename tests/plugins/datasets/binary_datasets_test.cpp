// stl10, svhn and emnist from made-up files.

#include "dataset_folder.h"
#include "dataset_trees.h"
#include "file_writers.h"
#include "refusals.h"
#include "support/temporary_folder.h"

#include "bissl/data_files.h"
#include "bissl/dataset.h"
#include "bissl/error.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

// STL-10

class Stl10 : public DatasetFolder {
 protected:
  Stl10() : DatasetFolder("stl10") { make_stl10(root()); }

  /// Image `index` of all in the tree: byte j of the file's order is 11 index + 5 j.
  static void expect_pixels(const Sample& sample, int index) {
    ASSERT_EQ(sample.image.shape, (ImageShape{3, 96, 96}));
    for (int y = 0; y < 96; y += 5) {
      for (int x = 0; x < 96; x += 7) {
        for (int c = 0; c < 3; ++c) {
          // In the file columns follow each other, not rows.
          const int j = c * 9216 + x * 96 + y;
          ASSERT_EQ(sample.image.pixels[(y * 96 + x) * 3 + c],
                    static_cast<uint8_t>(11 * index + 5 * j));
        }
      }
    }
  }
};

TEST_F(Stl10, ReadsItsSplits) {
  const auto train = open("stl10");
  ASSERT_EQ(train->size(), 4);
  const std::vector<int64_t> labels{0, 9, 2, 3};
  for (int i = 0; i < 4; ++i) {
    expect_pixels(train->get(i), i);
    EXPECT_EQ(train->get(i).target.category, labels[static_cast<size_t>(i)]);
    EXPECT_EQ(train->target(i).category, labels[static_cast<size_t>(i)]);
  }
  EXPECT_EQ(train->targets().names.at(9), "truck");
  const auto test = open("stl10", {{"split", "test"}});
  ASSERT_EQ(test->size(), 2);
  expect_pixels(test->get(1), 5);
  EXPECT_EQ(test->target(1).category, 8);
  const auto unlabelled = open("stl10", {{"split", "unlabeled"}});
  ASSERT_EQ(unlabelled->size(), 3);
  expect_pixels(unlabelled->get(2), 8);
  EXPECT_EQ(unlabelled->targets().kind, TargetKind::none);
  EXPECT_EQ(unlabelled->target(0).category, -1);
  EXPECT_THROW(unlabelled->get(3), Error);
  EXPECT_THROW(unlabelled->get(-1), Error);
}

TEST_F(Stl10, ReadsItsFolds) {
  for (int64_t fold = 0; fold < 10; ++fold) {
    const auto dataset = open("stl10", {{"fold", fold}});
    ASSERT_EQ(dataset->size(), 2);
    expect_pixels(dataset->get(0), static_cast<int>(fold % 4));
    expect_pixels(dataset->get(1), static_cast<int>((fold + 2) % 4));
  }
  EXPECT_EQ(open("stl10", {{"fold", int64_t{1}}})->target(0).category, 9);
  write("stl10_binary/fold_indices.txt", "0 1\n0 4\n" + std::string(8 * 2, '0'));
  expect_part(refusal("stl10", {{"fold", int64_t{1}}}), "has 3 lines; expected 10");
  std::string folds = "0 4\n";
  for (int i = 0; i < 9; ++i) {
    folds += "0\n";
  }
  write("stl10_binary/fold_indices.txt", folds);
  expect_part(
      refusal("stl10", {{"fold", int64_t{0}}}),
      "fold_indices.txt:1: is \"0 4\"; expected the place of a training image from 0 to 3 in "
      "place of \"4\"");
  EXPECT_EQ(library_.findings("stl10", {{"root", "x"}, {"split", "test"}, {"fold", int64_t{1}}}),
            std::vector<std::string>{"warning fold: has no effect with split = \"test\""});
}

TEST_F(Stl10, NamesTheFilesThatItReads) {
  const auto names = [&](const ParameterValues& values) {
    const auto dataset = open("stl10", values);
    std::vector<std::string> found;
    for (const DataFile& file : capability<DataFiles>(*dataset)->data_files()) {
      found.push_back(file.name);
    }
    return found;
  };
  EXPECT_EQ(names({}), (std::vector<std::string>{"train_X.bin", "class_names.txt", "train_y.bin"}));
  EXPECT_EQ(names({{"split", "unlabeled"}}), std::vector<std::string>{"unlabeled_X.bin"});
  EXPECT_EQ(names({{"fold", int64_t{0}}}).back(), "fold_indices.txt");
}

TEST_F(Stl10, HoldsNoPixelsInMemory) {
  // A gibibyte that is not there on the disk: 38,836 images of zeros.
  const fs::path file = root() / "stl10_binary/unlabeled_X.bin";
  fs::resize_file(file, uint64_t{38836} * 27648);
  const auto resident = [] {
    const std::string text = read_file("/proc/self/statm");
    return std::stoll(text.substr(text.find(' '))) * 4096;
  };
  const auto dataset = open("stl10", {{"split", "unlabeled"}});
  ASSERT_EQ(dataset->size(), 38836);
  const long long before = resident();
  for (int64_t i = 0; i < dataset->size(); i += 5) {
    dataset->get(i);
  }
  // The address sanitizer keeps 256 MiB of what was freed.
#ifdef __SANITIZE_ADDRESS__
  constexpr long long most = 512 << 20;
#else
  constexpr long long most = 32 << 20;
#endif
  EXPECT_LT(resident() - before, most);
}

TEST_F(Stl10, ServesSeveralThreads) {
  const auto dataset = open("stl10");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 400; ++i) {
        const int index = (i + static_cast<int>(t)) % 4;
        const Sample sample = dataset->get(index);
        wrong[t] += sample.image.pixels[0] != static_cast<uint8_t>(11 * index) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST_F(Stl10, SaysWhatIsWrong) {
  write("stl10_binary/train_y.bin", "\x01\x0B\x03\x04");
  EXPECT_EQ(refusal("stl10"),
            "DIR/stl10_binary/train_y.bin: label 11 of sample 1 is out of range; expected 1 to 10, "
            "the number of classes in class_names.txt");
  write("stl10_binary/train_y.bin", std::string("\x01\0\x03\x04", 4));
  expect_part(refusal("stl10"), "label 0 of sample 1 is out of range");
  write("stl10_binary/train_y.bin", "\x01\x02\x03");
  EXPECT_EQ(refusal("stl10"),
            "DIR/stl10_binary/train_y.bin: holds 3 labels, but "
            "DIR/stl10_binary/train_X.bin holds 4 images; both must be of the same "
            "set");
  fs::resize_file(root() / "stl10_binary/train_X.bin", 27648 * 2 + 1);
  EXPECT_EQ(
      refusal("stl10"),
      "DIR/stl10_binary/train_X.bin: has 55297 bytes; expected a multiple of 27648, the bytes "
      "of an image of 96 x 96 pixels in three colours; fetch the file again");
  fs::remove(root() / "stl10_binary/unlabeled_X.bin");
  expect_part(refusal("stl10", {{"split", "unlabeled"}}),
              "DIR/stl10_binary/unlabeled_X.bin: no such file; STL-10 needs it");
  // A file that is cut short while it is read.
  const auto test = open("stl10", {{"split", "test"}});
  fs::resize_file(root() / "stl10_binary/test_X.bin", 100);
  try {
    test->get(1);
    ADD_FAILURE();
  } catch (const Error& error) {
    expect_part(error.what(), "test_X.bin: ends at byte ");
  }
}

// SVHN

class Svhn : public DatasetFolder {
 protected:
  Svhn() : DatasetFolder("svhn") { make_svhn(root()); }
};

TEST_F(Svhn, ReadsImagesByColumnsAndTenAsZero) {
  const auto train = open("svhn");
  ASSERT_EQ(train->size(), 3);
  EXPECT_EQ(train->target(0).category, 1);
  EXPECT_EQ(train->target(1).category, 0);
  EXPECT_EQ(train->target(2).category, 9);
  const Sample sample = train->get(2);
  ASSERT_EQ(sample.image.shape, (ImageShape{3, 32, 32}));
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int j = y + 32 * (x + 32 * (c + 3 * 2));
        ASSERT_EQ(sample.image.pixels[(y * 32 + x) * 3 + c], static_cast<uint8_t>(13 * j));
      }
    }
  }
  EXPECT_EQ(train->targets().names.at(7), "7");
  EXPECT_NE(open("svhn", {{"split", "extra"}})->fingerprint(), train->fingerprint());
}

TEST_F(Svhn, SaysWhatIsWrong) {
  write("train_32x32.mat", mat::file({mat::bytes("X", {32, 32, 3, 1}, std::string(3072, 'x')),
                                      mat::bytes("y", {2, 1}, "\x01\x02")}));
  EXPECT_EQ(
      refusal("svhn"),
      "DIR/train_32x32.mat: expected a variable \"X\" of unsigned bytes, 32 x 32 x 3 x 2, the "
      "number of labels in \"y\"; found 3072 bytes with dimensions 32 x 32 x 3 x 1");
  write("train_32x32.mat", mat::file({mat::bytes("X", {32, 32, 3, 1}, std::string(3072, 'x')),
                                      mat::bytes("y", {1, 1}, "\x0B")}));
  EXPECT_EQ(refusal("svhn"),
            "DIR/train_32x32.mat: label 11 of sample 0 is out of range; expected 1 to 10");
  write("train_32x32.mat", mat::file({}));
  expect_part(refusal("svhn"), "has no variable \"y\"");
  fs::remove(root() / "test_32x32.mat");
  expect_part(refusal("svhn", {{"split", "test"}}), "no test_32x32.mat there, but extra_32x32.mat");
}

// EMNIST and Kuzushiji-MNIST

class Emnist : public DatasetFolder {
 protected:
  Emnist() : DatasetFolder("idx") { make_emnist(root()); }
};

TEST_F(Emnist, TurnsImagesUpright) {
  const auto dataset = open("emnist");
  ASSERT_EQ(dataset->size(), 2);
  const Sample sample = dataset->get(1);
  ASSERT_EQ(sample.image.shape, (ImageShape{1, 28, 28}));
  for (int y = 0; y < 28; ++y) {
    for (int x = 0; x < 28; ++x) {
      ASSERT_EQ(sample.image.pixels[y * 28 + x], static_cast<uint8_t>(3 * (784 + x * 28 + y)));
    }
  }
  EXPECT_EQ(dataset->target(1).category, 46);
  EXPECT_EQ(dataset->targets().names.at(46), "t");
  EXPECT_EQ(dataset->targets().names.at(10), "A");
}

TEST_F(Emnist, KnowsTheClassesOfItsVariants) {
  const auto letters = open("emnist", {{"variant", "letters"}, {"split", "test"}});
  EXPECT_EQ(letters->target(0).category, 0);
  EXPECT_EQ(letters->target(1).category, 25);
  EXPECT_EQ(letters->targets().names.size(), 26U);
  // The first letter is 1: a label of 0 belongs to another variant.
  fs::copy_file(root() / "emnist-balanced-test-labels-idx1-ubyte.gz",
                root() / "emnist-letters-test-labels-idx1-ubyte.gz",
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(refusal("emnist", {{"variant", "letters"}, {"split", "test"}}),
            "DIR/emnist-letters-test-labels-idx1-ubyte.gz: label 0 of sample 0 is out of range; "
            "expected 1 to 26");
  EXPECT_EQ(
      refusal("emnist", {{"variant", "byclass"}}),
      "DIR: no emnist-byclass-train-images file; looked for "
      "emnist-byclass-train-images-idx3-ubyte.gz, emnist-byclass-train-images-idx3-ubyte, "
      "emnist-byclass-train-images.idx3-ubyte.gz, emnist-byclass-train-images.idx3-ubyte. Set "
      "`root` to the folder that holds EMNIST's IDX files (\"gzip\" in the official archive, "
      "not the MATLAB or CSV files)");
}

TEST_F(Emnist, KuzushijiHasMnistsFiles) {
  for (const std::string end : {"images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"}) {
    fs::copy_file(root() / ("emnist-letters-train-" + end), root() / ("train-" + end));
  }
  expect_part(refusal("kmnist"), "label 26 of sample 1 is out of range; expected 0 to 9");
  write("train-labels-idx1-ubyte.gz", gzip_of(std::string("\0\0\x08\x01\0\0\0\x02\x01\x02", 10)));
  const auto dataset = open("kmnist");
  EXPECT_EQ(dataset->targets().names.at(2), "su");
  EXPECT_EQ(dataset->get(0).image.pixels[1], 3) << "as the file has it";
}

}  // namespace
}  // namespace bissl::host::test
