// The library tar-shards.

#include "dataset_trees.h"
#include "file_writers.h"
#include "refusals.h"
#include "sdk/plugin_library.h"
#include "shard_names.h"
#include "support/temporary_folder.h"

#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/dataset.h"
#include "bissl/error.h"
#include "bissl/sample_names.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

const PluginLibrary& library() {
  static const PluginLibrary loaded("tar-shards");
  return loaded;
}

class TarShards : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  void write(const std::string& name, const std::string& content) const {
    write_file(path(name), content);
  }
  std::shared_ptr<Dataset> open(const Texts& shards, ParameterValues values = {}) const {
    Texts paths;
    for (const std::string& shard : shards) {
      paths.push_back(path(shard));
    }
    values["shards"] = paths;
    values.emplace("cache", path("cache"));
    return library().make<Dataset>("tar-shards", values);
  }
  std::string refusal(const Texts& shards, const ParameterValues& values = {}) const {
    return refusal_in(folder_.path(), [&] { open(shards, values); });
  }
  std::string without_folder(const std::string& text) const {
    return test::without_folder(text, folder_.path());
  }

  TemporaryFolder folder_;
};

/// The gray values of all samples with their categories.
std::vector<std::pair<int, int64_t>> content(const Dataset& dataset) {
  std::vector<std::pair<int, int64_t>> samples;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const Sample sample = dataset.get(i);
    EXPECT_EQ(sample.image.shape, (ImageShape{3, 4, 6}));
    EXPECT_EQ(dataset.target(i).category, sample.target.category);
    samples.emplace_back((sample.image.pixels[0] + 1) / 2 * 2, sample.target.category);
  }
  return samples;
}

const std::vector<std::pair<int, int64_t>> all_samples{{10, 0}, {14, 1}, {18, 2},
                                                       {40, 1}, {44, 2}, {48, 0}};

TEST_F(TarShards, ReadsPlainAndCompressedShards) {
  make_shards(folder_.path());
  const auto dataset = open({"shard-{0..1}.tar"});
  EXPECT_EQ(content(*dataset), all_samples);
  EXPECT_EQ(dataset->targets().names, (Texts{"0", "1", "2"}));
  EXPECT_EQ(content(*open({"shard-0.tar"})).size(), 3U);
}

TEST_F(TarShards, TheOrderIsThatOfTheNames) {
  make_shards(folder_.path());
  const auto turned = open({"shard-1.tar", "shard-0.tar"});
  EXPECT_EQ(content(*turned), all_samples);
  EXPECT_EQ(turned->fingerprint(), open({"shard-{0,1}.tar"})->fingerprint());
  // Elsewhere the content is the same.
  TemporaryFolder other;
  make_shards(other.path() / "below");
  const auto moved = library().make<Dataset>(
      "tar-shards", {{"shards", Texts{(other.path() / "below/shard-{0..1}.tar").string()}},
                     {"cache", (other.path() / "cache").string()}});
  EXPECT_EQ(moved->fingerprint(), turned->fingerprint());
}

TEST_F(TarShards, UnpacksACompressedShardOnce) {
  make_shards(folder_.path());
  open({"shard-1.tar"});
  const auto unpacked = [&] {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path("cache"))) {
      if (entry.path().extension() == ".tar") {
        files.push_back(entry.path());
      }
    }
    return files;
  };
  ASSERT_EQ(unpacked().size(), 1U);
  const auto written = fs::last_write_time(unpacked()[0]);
  EXPECT_EQ(content(*open({"shard-1.tar"})).size(), 3U);
  EXPECT_EQ(fs::last_write_time(unpacked()[0]), written);
  // Another content under the same name is unpacked anew.
  write("shard-1.tar", gzip_of(tar_of({{"a.jpg", jpeg_of(6, 4, 70)}, {"a.cls", "1"}})));
  EXPECT_EQ(content(*open({"shard-1.tar"})), (std::vector<std::pair<int, int64_t>>{{70, 1}}));
  EXPECT_EQ(unpacked().size(), 2U);
  // Several at once.
  fs::remove_all(path("cache"));
  std::vector<std::thread> threads;
  std::vector<int64_t> sizes(6);
  for (int64_t& size : sizes) {
    threads.emplace_back([&] { size = open({"shard-1.tar"})->size(); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(sizes, std::vector<int64_t>(6, 1));
}

TEST_F(TarShards, NamesClasses) {
  make_shards(folder_.path());
  write("names.txt", "cat\ndog\nhorse\ncow\n");
  const auto named = open({"shard-0.tar"}, {{"class_names", path("names.txt")}});
  EXPECT_EQ(named->targets().names, (Texts{"cat", "dog", "horse", "cow"}));
  EXPECT_NE(named->fingerprint(), open({"shard-0.tar"})->fingerprint());
  write("a.tar", tar_of({{"a.jpg", jpeg_of(6, 4, 70)}, {"a.cls", "horse"}}));
  EXPECT_EQ(open({"a.tar"}, {{"class_names", path("names.txt")}})->target(0).category, 2);
  EXPECT_EQ(refusal({"a.tar"}),
            "DIR/a.tar: the label of sample 0 is \"horse\"; expected a class from 0 to 999999. "
            "Classes by their names need `class_names`");
  write("a.tar", tar_of({{"a.jpg", jpeg_of(6, 4, 70)}, {"a.cls", "4"}}));
  EXPECT_EQ(
      refusal({"a.tar"}, {{"class_names", path("names.txt")}}),
      "DIR/a.tar: the label of sample 0 is \"4\"; expected a class from 0 to 3, or one of the "
      "names in `class_names`");
}

TEST_F(TarShards, ReadsDataWithoutLabels) {
  const std::string image = jpeg_of(6, 4, 70);
  write("a.tar", tar_of({{"a.jpg", image}, {"a.txt", "a text"}, {"b.JPG", image}}));
  const auto dataset = open({"a.tar"});
  EXPECT_EQ(dataset->size(), 2);
  EXPECT_EQ(dataset->targets().kind, TargetKind::none);
  make_shards(folder_.path());
  EXPECT_EQ(open({"shard-0.tar"}, {{"label", ""}})->targets().kind, TargetKind::none);
  write("a.tar", tar_of({{"a.jpg", image}, {"a.cls", "1"}, {"b.jpg", image}}));
  expect_part(refusal({"a.tar"}),
              "DIR/a.tar: sample \"b\" has no member \"cls\", unlike those before");
  write("a.tar", tar_of({{"a.jpg", image}, {"b.jpg", image}, {"b.cls", "1"}}));
  expect_part(refusal({"a.tar"}), "sample \"b\" has a member \"cls\", unlike those before it");
}

TEST_F(TarShards, TakesTheImageThatComesFirstInTheList) {
  write("a.tar", tar_of({{"a.png", "no image"},
                         {"a.seg.png", "no image"},
                         {"a.jpg", jpeg_of(6, 4, 70)},
                         {"._a.jpg", "of a Mac"},
                         {"readme", "x"}}));
  EXPECT_EQ(content(*open({"a.tar"})).at(0).first, 70);
  write("a.tar", tar_of({{"a.left.jpg", jpeg_of(6, 4, 70)}, {"a.right.jpg", jpeg_of(6, 4, 90)}}));
  EXPECT_EQ(content(*open({"a.tar"}, {{"image", Texts{"right.jpg"}}})).at(0).first, 90);
  EXPECT_EQ(
      refusal({"a.tar"}, {{"image", Texts{"jpg", "png"}}}),
      "DIR/a.tar: sample \"a\" has no image: found left.jpg, right.jpg, expected one of jpg, "
      "png. Members of one sample must stand beside each other; `image` says which extensions "
      "are images");
  for (const std::string wrong : {".jpg", "JPG", "", "a/jpg"}) {
    EXPECT_EQ(
        library().findings("tar-shards", {{"shards", Texts{"a"}}, {"image", Texts{wrong}}}).size(),
        1U);
  }
}

TEST_F(TarShards, RefusesWrongShards) {
  const std::string image = jpeg_of(6, 4, 70);
  const std::string two = tar_of({{"a.jpg", image}, {"a.cls", "1"}, {"a.jpg", image}});
  write("a.tar", two);
  EXPECT_EQ(refusal({"a.tar"}), "DIR/a.tar: sample \"a\" has two members \"jpg\"");
  write("a.tar", tar_of({{"a.jpg", image}, {"a.cls", " \n"}}));
  EXPECT_EQ(refusal({"a.tar"}), "DIR/a.tar: the label a.cls is empty");
  write("a.tar", tar_of({{"a.jpg", image}, {"a.cls", std::string(2000, '1')}}));
  expect_part(refusal({"a.tar"}), "the label a.cls has 2000 bytes");
  for (const std::string label : {"-1", "1.5", "1000000", "99999999999999999999"}) {
    write("a.tar", tar_of({{"a.jpg", image}, {"a.cls", label}}));
    expect_part(refusal({"a.tar"}), "the label of sample 0 is \"" + label + "\"; expected a class");
  }
  write("a.tar", tar_end());
  EXPECT_EQ(refusal({"a.tar"}), "DIR/a.tar: holds no sample; expected members KEY.EXTENSION");
  write("a.tar", gzip_of(two).substr(0, 200));
  expect_part(refusal({"a.tar"}), "DIR/a.tar: the gzip stream is cut short");
  write("a.tar", gzip_of("no archive"));
  expect_part(refusal({"a.tar"}), "the archive is cut short: no header of 512 bytes");
  write("a.tar", tar_member("a.jpg", image) + tar_member("b.jpg", "", '2') + tar_end());
  expect_part(refusal({"a.tar"}), "\"b.jpg\" is a link");
  write("a.tar", tar_of({{"../a.jpg", image}}));
  expect_part(refusal({"a.tar"}), "the name \"../a.jpg\" leads out of the archive");
}

/// Each member is looked for among those of its sample, of which there may be very many.
TEST_F(TarShards, ASampleOfManyMembersTakesNoLonger) {
  std::string many;
  for (int i = 0; i < 100'000; ++i) {
    many += tar_header("a." + std::to_string(i), 0);
  }
  const auto begin = std::chrono::steady_clock::now();
  write("a.tar", many + tar_of({{"a.jpg", jpeg_of(6, 4, 70)}}));
  EXPECT_EQ(open({"a.tar"})->size(), 1);
  write("a.tar", many + tar_end());
  EXPECT_EQ(refusal({"a.tar"}),
            "DIR/a.tar: sample \"a\" has no image: found 0, 1, 10, 100, 1000, 10000, 10001, 10002 "
            "and 99992 more, expected one of jpg, jpeg, png, webp, ppm, pgm, pnm, bmp, gif, tif, "
            "tiff. Members of one sample must stand beside each other; `image` says which "
            "extensions are images");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(TarShards, SaysWhichShardsAreMissing) {
  make_shards(folder_.path());
  EXPECT_EQ(
      refusal({"shard-{0..3}.tar"}),
      "DIR/shard-2.tar: no such file: 2 of 4 shards are not there, this one first; its folder "
      "holds shard-0.tar, shard-1.tar");
  fs::create_directory(path("shard-9.tar"));
  expect_part(refusal({"shard-9.tar"}),
              "DIR/shard-9.tar: is not a file: 1 of 1 shards are not there, this one first");
  EXPECT_EQ(refusal({"shard-0.tar", "shard-{0..1}.tar"}),
            "DIR/shard-0.tar: is named twice among the shards");
  EXPECT_EQ(library().findings("tar-shards", {{"shards", Texts{}}}),
            Texts{"shards: names no file"});
}

TEST_F(TarShards, TellsAShardThatChanges) {
  make_shards(folder_.path());
  const auto dataset = open({"shard-0.tar"});
  dataset->get(0);
  write("shard-0.tar", tar_of({{"a.jpg", jpeg_of(6, 4, 70)}}));
  try {
    dataset->get(0);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(without_folder(error.what()),
              "DIR/shard-0.tar: has changed since its members were listed; start again");
  }
  fs::remove(path("shard-0.tar"));
  EXPECT_THROW(dataset->get(0), Error);
}

TEST_F(TarShards, CallsSamplesByShardAndKey) {
  write("a.tar", tar_of({{"x/1.jpg", jpeg_of(6, 4, 70)}, {"x/2.b.jpg", jpeg_of(6, 4, 80)}}));
  write("b.tar.gz", gzip_of(tar_of({{"1.JPG", jpeg_of(6, 4, 70)}})));
  const auto dataset = open({"a.tar", "b.tar.gz"}, {{"image", Texts{"jpg", "b.jpg"}}});
  const auto* names = capability<SampleNames>(*dataset);
  ASSERT_NE(names, nullptr);
  EXPECT_EQ(names->sample_name(0), "a.tar/x/1");
  EXPECT_EQ(names->sample_name(1), "a.tar/x/2");
  EXPECT_EQ(names->sample_name(2), "b.tar.gz/1");
}

TEST_F(TarShards, SkipsADamagedImageAndNotAShard) {
  write("a.tar", tar_of({{"1.jpg", "no image"},
                         {"1.cls", "0"},
                         {"2.jpg", jpeg_of(6, 4, 70)},
                         {"2.cls", "1"},
                         {"3.jpg", jpeg_of(6, 4, 80)},
                         {"3.cls", "0"}}));
  const auto dataset = open({"a.tar"}, {{"broken", std::string("skip")}});
  EXPECT_EQ(content(*dataset), (std::vector<std::pair<int, int64_t>>{{80, 0}, {70, 1}, {80, 0}}));
  const Texts notes = capability<DataNotes>(*dataset)->notes();
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(without_folder(notes[0]),
            "1 image that could not be read so far, in whose place others with their label are "
            "taken: \"DIR/a.tar, member at byte 512\"");
  write("a.tar", tar_of({{"1.jpg", jpeg_of(6, 4, 70)}}));
  try {
    dataset->get(1);
    ADD_FAILURE() << "a shard that has changed";
  } catch (const Error& error) {
    expect_part(error.what(), "has changed since");
  }
}

/// The archive has a hole in the place of its first image.
TEST_F(TarShards, AnImageLargerThanAFileMayBeIsNotRead) {
  const uint64_t size = (uint64_t{1} << 30) + 1;
  write("a.tar", tar_header("a.jpg", size));
  fs::resize_file(path("a.tar"), 512 + (size + 511) / 512 * 512);
  std::ofstream(path("a.tar"), std::ios::app) << tar_of({{"b.jpg", jpeg_of(6, 4, 70)}});
  const auto dataset = open({"a.tar"});
  try {
    dataset->get(0);
    ADD_FAILURE();
  } catch (const Error& error) {
    expect_part(without_folder(error.what()),
                "DIR/a.tar, member at byte 512: has 1073741825 bytes; at most 1073741824 are read");
  }
  const auto skipping = open({"a.tar"}, {{"broken", std::string("skip")}});
  EXPECT_EQ(content(*skipping), (std::vector<std::pair<int, int64_t>>{{70, -1}, {70, -1}}));
}

TEST_F(TarShards, SaysWhereADamagedImageIs) {
  write("a.tar", tar_of({{"a.jpg", "no image"}}));
  const auto dataset = open({"a.tar"});
  try {
    dataset->get(0);
    ADD_FAILURE();
  } catch (const Error& error) {
    expect_part(without_folder(error.what()), "DIR/a.tar, member at byte 512: ");
  }
  EXPECT_THROW(dataset->get(1), Error);
}

/// A daemon or a container may have none of the variables.
TEST_F(TarShards, WithoutAnyFolderForCachesCompressedOnesAreRefused) {
  const std::string archive = tar_of({{"a.jpg", jpeg_of(6, 4, 70)}});
  write("a.tar", archive);
  write("b.tar.gz", gzip_of(archive));
  const std::map<std::string, const char*> variables = {
      {"HOME", nullptr}, {"XDG_CACHE_HOME", "relative"}, {"TMPDIR", "/absent/folder"}};
  std::map<std::string, std::string> before;
  for (const auto& [name, value] : variables) {
    if (const char* was = std::getenv(name.c_str())) {
      before[name] = was;
    }
    if (value == nullptr) {
      unsetenv(name.c_str());
    } else {
      setenv(name.c_str(), value, 1);
    }
  }
  const std::string plain = refusal({"a.tar"}, {{"cache", std::string()}});
  const std::string compressed = refusal({"b.tar.gz"}, {{"cache", std::string()}});
  for (const auto& [name, value] : variables) {
    if (before.count(name) != 0) {
      setenv(name.c_str(), before[name].c_str(), 1);
    } else {
      unsetenv(name.c_str());
    }
  }
  EXPECT_EQ(plain, "no error");
  expect_part(compressed,
              "DIR/b.tar.gz: there is no folder to unpack it into: name one by `cache`");
}

TEST(ShardNames, ExpandPatterns) {
  EXPECT_EQ(expand_braces("a.tar"), Texts{"a.tar"});
  EXPECT_EQ(expand_braces("a-{008..011}.tar"),
            (Texts{"a-008.tar", "a-009.tar", "a-010.tar", "a-011.tar"}));
  EXPECT_EQ(expand_braces("{8..10}"), (Texts{"8", "9", "10"}));
  EXPECT_EQ(expand_braces("{a,b}/{0..1}.tar"), (Texts{"a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"}));
  EXPECT_EQ(expand_braces("{000..127}").size(), 128U);
  for (const std::string wrong :
       {"{0..", "{3..1}", "{a..b}", "{..3}", "{0..99999999999}", "{-1..3}", "{0..9999}{0..9999}"}) {
    EXPECT_THROW(expand_braces(wrong), Error) << wrong;
  }
}

}  // namespace
}  // namespace bissl::host::test
