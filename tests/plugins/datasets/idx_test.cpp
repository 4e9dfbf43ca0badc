#include "bissl/dataset.h"
#include "bissl/error.h"
#include "plugins/datasets/refusals.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

const test::PluginLibrary& library() { return test::shared_library("idx"); }

/// An IDX file of unsigned bytes with that header.
std::string idx(const std::vector<uint32_t>& dimensions, const std::string& content) {
  std::string file{0, 0, 8, static_cast<char>(dimensions.size())};
  for (const uint32_t dimension : dimensions) {
    for (const int shift : {24, 16, 8, 0}) {
      file += static_cast<char>(dimension >> shift & 0xFF);
    }
  }
  return file + content;
}

std::string gzip(const std::string& content) {
  z_stream stream{};
  // 15 bits of window, and 16 for a gzip header.
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, content.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

constexpr size_t area = 784;

/// Images 0 … count − 1; pixel j of image i is 7 i + j (mod 256).
std::string image_bytes(uint32_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < area; ++j) {
      bytes += static_cast<char>(7 * i + j);
    }
  }
  return bytes;
}

std::string images(uint32_t count) { return idx({count, 28, 28}, image_bytes(count)); }

const std::string labels_012("\0\1\2", 3);

/// A folder with three training images, labelled 0, 1, 2.
class IdxFolder : public testing::Test {
 protected:
  IdxFolder() {
    write("train-images-idx3-ubyte.gz", gzip(images(3)));
    write("train-labels-idx1-ubyte.gz", gzip(idx({3}, labels_012)));
  }

  void write(const std::string& name, const std::string& content) {
    test::write_file(path(name), content);
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }

  std::shared_ptr<Dataset> open(const std::string& component = "fashion-mnist",
                                const std::string& split = "train") const {
    return library().make<Dataset>(component,
                                   {{"root", folder_.path().string()}, {"split", split}});
  }

  /// The text of the error that opening gives, with the folder's name taken out.
  std::string refusal(const std::string& component = "fashion-mnist",
                      const std::string& split = "train") const {
    return test::refusal_in(folder_.path(), [&] { open(component, split); });
  }

  test::TemporaryFolder folder_;
};

TEST_F(IdxFolder, HoldsImagesAndLabels) {
  const auto dataset = open();
  ASSERT_EQ(dataset->size(), 3);
  for (int64_t i = 0; i < 3; ++i) {
    const Sample sample = dataset->get(i);
    EXPECT_EQ(sample.image.shape, (ImageShape{1, 28, 28}));
    EXPECT_EQ(sample.target.category, i);
    EXPECT_EQ(dataset->target(i).category, i);
    for (size_t j = 0; j < area; ++j) {
      ASSERT_EQ(sample.image.pixels[j], static_cast<uint8_t>(7 * static_cast<size_t>(i) + j));
    }
  }
}

TEST_F(IdxFolder, HandsImagesOutWithoutCopying) {
  const auto dataset = open();
  EXPECT_EQ(dataset->get(1).image.pixels, dataset->get(1).image.pixels);
  EXPECT_EQ(dataset->get(1).image.pixels, dataset->get(0).image.pixels + area);
}

TEST_F(IdxFolder, GivesGrayImagesThreeEqualColours) {
  const auto gray = open();
  const auto colour = library().make<Dataset>(
      "fashion-mnist", {{"root", folder_.path().string()}, {"channels", std::string("rgb")}});
  EXPECT_NE(colour->fingerprint(), gray->fingerprint());
  const Sample sample = colour->get(2);
  const Sample original = gray->get(2);
  ASSERT_EQ(sample.image.shape, (ImageShape{3, 28, 28}));
  EXPECT_EQ(sample.target.category, 2);
  for (size_t j = 0; j < 3 * area; ++j) {
    ASSERT_EQ(sample.image.pixels[j], original.image.pixels[j / 3]) << j;
  }
}

TEST_F(IdxFolder, RefusesAnIndexOutOfRange) {
  const auto dataset = open();
  for (const int64_t index : {-1, 3}) {
    EXPECT_THROW(dataset->get(index), Error);
    EXPECT_THROW(dataset->target(index), Error);
  }
}

TEST_F(IdxFolder, NamesTheClasses) {
  const std::vector<std::string> clothes{"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                         "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                         "Bag",         "Ankle boot"};
  EXPECT_EQ(open("fashion-mnist")->targets().names, clothes);
  const std::vector<std::string> digits{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  EXPECT_EQ(open("mnist")->targets().names, digits);
}

TEST_F(IdxFolder, FingerprintTellsContentNotPacking) {
  const std::string packed = open()->fingerprint();
  EXPECT_EQ(packed.size(), 32U);
  fs::remove(path("train-images-idx3-ubyte.gz"));
  write("train-images-idx3-ubyte", images(3));
  EXPECT_EQ(open()->fingerprint(), packed);
  write("train-labels-idx1-ubyte.gz", gzip(idx({3}, std::string("\0\2\2", 3))));
  EXPECT_NE(open()->fingerprint(), packed);
  std::string changed = images(3);
  changed.back() ^= 1;
  write("train-labels-idx1-ubyte.gz", gzip(idx({3}, labels_012)));
  write("train-images-idx3-ubyte", changed);
  EXPECT_NE(open()->fingerprint(), packed);
}

TEST_F(IdxFolder, TakesEverySpellingPackedOrNot) {
  for (const std::string dot : {"-", "."}) {
    for (const std::string end : {".gz", ""}) {
      const test::TemporaryFolder folder;
      const auto packed = [&](const std::string& content) {
        return end.empty() ? content : gzip(content);
      };
      test::write_file(folder.path() / ("t10k-images" + dot + "idx3-ubyte" + end),
                       packed(images(3)));
      test::write_file(folder.path() / ("t10k-labels" + dot + "idx1-ubyte" + end),
                       packed(idx({3}, labels_012)));
      const auto dataset =
          library().make<Dataset>("mnist", {{"root", folder.path().string()}, {"split", "test"}});
      EXPECT_EQ(dataset->get(2).target.category, 2) << dot << end;
    }
  }
}

TEST_F(IdxFolder, ReadsPlainContentUnderAPackedName) {
  write("train-images-idx3-ubyte.gz", images(3));
  EXPECT_EQ(open()->size(), 3);
}

TEST_F(IdxFolder, ServesSeveralThreads) {
  const auto dataset = open();
  std::array<int64_t, 4> sums{};
  std::vector<std::thread> threads;
  for (int64_t& sum : sums) {
    threads.emplace_back([&sum, &dataset] {
      for (int64_t i = 0; i < 3000; ++i) {
        const Sample sample = dataset->get(i % 3);
        sum += sample.target.category + sample.image.pixels[static_cast<size_t>(i) % area];
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_GT(sums[0], 3000);
  for (const int64_t sum : sums) {
    EXPECT_EQ(sum, sums[0]);
  }
}

TEST_F(IdxFolder, SaysWhichFileIsMissingAndWhereToGetIt) {
  const std::string advice =
      " On Debian the package dataset-fashion-mnist brings the files (apt-get install "
      "dataset-fashion-mnist); elsewhere set `root` to the folder that holds them";
  EXPECT_EQ(refusal("fashion-mnist", "test"),
            "DIR: no t10k-images file; looked for t10k-images-idx3-ubyte.gz, "
            "t10k-images-idx3-ubyte, t10k-images.idx3-ubyte.gz, t10k-images.idx3-ubyte." +
                advice);
  fs::remove(path("train-labels-idx1-ubyte.gz"));
  EXPECT_EQ(refusal("mnist"),
            "DIR: no train-labels file; looked for train-labels-idx1-ubyte.gz, "
            "train-labels-idx1-ubyte, train-labels.idx1-ubyte.gz, train-labels.idx1-ubyte. Set "
            "`root` to the folder that holds MNIST's four IDX files");
  fs::create_directory(path("train-labels-idx1-ubyte"));
  EXPECT_EQ(refusal("mnist").substr(0, 83),
            "DIR: no train-labels file (train-labels-idx1-ubyte is there, but is not a file); lo");
}

TEST_F(IdxFolder, SaysInWhichFolderTheFilesLie) {
  fs::create_directory(path("raw"));
  for (const char* name : {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"}) {
    fs::rename(path(name), path("raw") / name);
  }
  EXPECT_EQ(refusal("mnist"),
            "DIR: no train-images file; looked for train-images-idx3-ubyte.gz, "
            "train-images-idx3-ubyte, train-images.idx3-ubyte.gz, train-images.idx3-ubyte. It is "
            "in DIR/raw: set `root` to that");
}

TEST_F(IdxFolder, SaysWhenTheRootIsNoFolder) {
  const auto refusal_of = [](const fs::path& root) -> std::string {
    try {
      library().make<Dataset>("fashion-mnist", {{"root", root.string()}});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(refusal_of(path("nothing")).find(path("nothing").string() + ": no such folder. On"),
            0U);
  const fs::path file = path("train-labels-idx1-ubyte.gz");
  EXPECT_EQ(refusal_of(file).find(file.string() + ": is not a folder. On"), 0U);
}

TEST_F(IdxFolder, RefusesAnotherKindOfFile) {
  write("train-images-idx3-ubyte.gz", gzip(idx({3}, labels_012)));
  EXPECT_EQ(refusal(),
            "DIR/train-images-idx3-ubyte.gz: starts with 00000801; expected 00000803, the "
            "beginning of images in an IDX file of unsigned bytes with 3 dimensions");
  write("train-images-idx3-ubyte.gz", gzip(images(3)));
  write("train-labels-idx1-ubyte.gz", "PNG, say");
  EXPECT_EQ(refusal(),
            "DIR/train-labels-idx1-ubyte.gz: starts with 504e472c; expected 00000801, the "
            "beginning of labels in an IDX file of unsigned bytes with 1 dimension");
}

TEST_F(IdxFolder, RefusesAnEmptyFileAndACutHeader) {
  write("train-images-idx3-ubyte.gz", "");
  EXPECT_EQ(refusal(),
            "DIR/train-images-idx3-ubyte.gz: ends after 0 bytes, within its header; expected 16 "
            "bytes and then the images");
  write("train-images-idx3-ubyte.gz", gzip(images(3).substr(0, 10)));
  EXPECT_EQ(refusal(),
            "DIR/train-images-idx3-ubyte.gz: ends after 10 bytes, within its header; expected 16 "
            "bytes and then the images");
}

TEST_F(IdxFolder, RefusesOtherDimensions) {
  write("train-images-idx3-ubyte.gz", gzip(idx({3, 32, 28}, std::string(3 * 32 * 28, 'x'))));
  EXPECT_EQ(refusal(),
            "DIR/train-images-idx3-ubyte.gz: holds images of 32 x 28 pixels; expected 28 x 28");
  write("train-images-idx3-ubyte.gz", gzip(idx({0, 28, 28}, "")));
  EXPECT_EQ(refusal(), "DIR/train-images-idx3-ubyte.gz: is empty: its header says 0 x 28 x 28");
}

TEST_F(IdxFolder, BelievesAHeaderOnlyAsFarAsTheFileGoes) {
  write("train-images-idx3-ubyte.gz", gzip(idx({0xFFFFFFFF, 0x7FFFFFFF, 0x10}, "abc")));
  EXPECT_EQ(refusal(),
            "DIR/train-images-idx3-ubyte.gz: its header says 4294967295 x 2147483647 x 16, more "
            "than a file can hold");
  write("train-images-idx3-ubyte.gz", gzip(idx({0xFFFFFFFF, 28, 28}, "abc")));
  EXPECT_EQ(refusal(),
            "DIR/train-images-idx3-ubyte.gz: its header says 4294967295 x 28 x 28, 3367254359280 "
            "bytes; at most 8589934592 are read");
  write("train-images-idx3-ubyte.gz", gzip(idx({10'000'000, 28, 28}, "abc")));
  EXPECT_EQ(refusal(),
            "DIR/train-images-idx3-ubyte.gz: ends too early: 3 bytes of images found, "
            "7840000000 expected (10000000 x 28 x 28); fetch the file again");
}

TEST_F(IdxFolder, RefusesAFileCutShort) {
  write("train-images-idx3-ubyte.gz", images(3).substr(0, 16 + 2000));
  EXPECT_EQ(refusal(),
            "DIR/train-images-idx3-ubyte.gz: ends too early: 2000 bytes of images found, 2352 "
            "expected (3 x 28 x 28); fetch the file again");
}

TEST_F(IdxFolder, RefusesAGzipStreamCutShortAnywhere) {
  const std::string packed = gzip(images(3));
  int in_the_pixels = 0;
  for (size_t size = 1; size < packed.size(); ++size) {
    write("train-images-idx3-ubyte.gz", packed.substr(0, size));
    const std::string text = refusal();
    ASSERT_NE(text, "no error") << size << " of " << packed.size() << " bytes";
    if (text.find("the gzip stream is cut short") != std::string::npos) {
      ++in_the_pixels;
    }
  }
  EXPECT_GT(in_the_pixels, 20);
}

TEST_F(IdxFolder, RefusesADamagedGzipStream) {
  std::string packed = gzip(images(3));
  // The last eight bytes are the checksum and the length.
  packed[packed.size() - 6] ^= 1;
  write("train-images-idx3-ubyte.gz", packed);
  const std::string text = refusal();
  EXPECT_EQ(text.find("DIR/train-images-idx3-ubyte.gz: cannot read on after "), 0U) << text;
  EXPECT_NE(text.find("incorrect data check; fetch the file again"), std::string::npos) << text;
}

TEST_F(IdxFolder, RefusesBytesAfterTheEnd) {
  write("train-labels-idx1-ubyte.gz", gzip(idx({3}, labels_012 + "x")));
  EXPECT_EQ(refusal(),
            "DIR/train-labels-idx1-ubyte.gz: has bytes after the 3 bytes of labels that its header "
            "announces (3)");
}

TEST_F(IdxFolder, RefusesAnotherNumberOfLabels) {
  write("train-labels-idx1-ubyte.gz", gzip(idx({2}, std::string("\0\1", 2))));
  EXPECT_EQ(refusal(),
            "DIR/train-labels-idx1-ubyte.gz: holds 2 labels, but DIR/train-images-idx3-ubyte.gz "
            "holds 3 images; both must be of the same set");
}

TEST_F(IdxFolder, RefusesALabelOutOfRange) {
  write("train-labels-idx1-ubyte.gz", gzip(idx({3}, "\1\xA\2")));
  EXPECT_EQ(refusal(),
            "DIR/train-labels-idx1-ubyte.gz: label 10 of sample 1 is out of range; expected 0 to "
            "9");
}

TEST(IdxLibrary, DeclaresItsParameters) {
  EXPECT_EQ(library().names(),
            (std::vector<std::string>{"emnist", "fashion-mnist", "kmnist", "mnist"}));
  EXPECT_EQ(std::get<std::string>(library().values("fashion-mnist").at("root")),
            "/usr/share/datasets/fashion-mnist");
  EXPECT_THROW(library().values("mnist"), std::invalid_argument);
  EXPECT_THROW(library().values("fashion-mnist", {{"split", "validation"}}), std::invalid_argument);
}

TEST(FashionMnist, IsWhatDebianShips) {
  if (!fs::exists("/usr/share/datasets/fashion-mnist")) {
    GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  }
  const std::vector<std::pair<std::string, int64_t>> splits{{"train", 6000}, {"test", 1000}};
  for (const auto& [split, per_class] : splits) {
    const auto dataset = library().make<Dataset>("fashion-mnist", {{"split", split}});
    ASSERT_EQ(dataset->size(), 10 * per_class);
    std::array<int64_t, 10> counts{};
    for (int64_t i = 0; i < dataset->size(); ++i) {
      ++counts.at(static_cast<size_t>(dataset->target(i).category));
    }
    for (const int64_t count : counts) {
      EXPECT_EQ(count, per_class);
    }
  }
  // The mean of the training pixels is known to be 0.2860.
  const auto train = library().make<Dataset>("fashion-mnist");
  double sum = 0.0;
  for (int64_t i = 0; i < train->size(); ++i) {
    const Sample sample = train->get(i);
    for (size_t j = 0; j < area; ++j) {
      sum += sample.image.pixels[j];
    }
  }
  EXPECT_NEAR(sum / 255.0 / (60000.0 * area), 0.2860, 0.00005);
  EXPECT_EQ(train->get(0).target.category, 9) << "the first image is an ankle boot";
}

}  // namespace
}  // namespace bissl::host
