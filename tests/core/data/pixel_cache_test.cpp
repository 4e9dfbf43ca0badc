#include "data/pixel_cache.h"

#include "base/posix_file.h"
#include "bissl/crops.h"
#include "data/pixel_file.h"
#include "fake_data.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// Images of `height` x `width` pixels of three channels; each byte is a function of its place.
class WideImages : public Dataset {
 public:
  WideImages(int64_t samples, int64_t height, int64_t width)
      : samples_(samples), shape_{3, height, width} {}

  int64_t size() const override { return samples_; }
  Sample get(int64_t index) const override {
    ++decoded;
    if (index == die_at) {
      kill(getpid(), SIGKILL);
    }
    if (index == broken) {
      fail_input("image {} is damaged", index);
    }
    auto bytes = std::make_shared<std::vector<uint8_t>>();
    for (int64_t i = 0; i < shape_.elements(); ++i) {
      bytes->push_back(static_cast<uint8_t>(index * 31 + i / 3));
    }
    Sample sample{.image = {shape_, bytes->data(), bytes}, .target = {}};
    sample.target = target(index);
    return sample;
  }
  Target target(int64_t index) const override { return {.category = index % 2}; }
  TargetSpec targets() const override { return TargetSpec::named(kind, {"even", "odd"}); }
  std::string fingerprint() const override { return print; }

  TargetKind kind = TargetKind::category;
  std::string print = "wide";
  int64_t broken = -1;
  int64_t die_at = -1;
  mutable std::atomic<int64_t> decoded = 0;

 private:
  int64_t samples_;
  ImageShape shape_;
};

class PixelCacheTest : public testing::Test {
 protected:
  std::shared_ptr<const Dataset> open(const std::shared_ptr<WideImages>& data, int64_t side = 100) {
    return with_cached_pixels(data, side, settings_);
  }
  std::vector<fs::path> files(const std::string& suffix) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(settings_.folder)) {
      if (entry.path().extension() == suffix) {
        found.push_back(entry.path());
      }
    }
    return found;
  }

  TemporaryFolder folder_;
  PixelCacheSettings settings_{
      .folder = folder_.path() / "pixels", .limit = 1'000'000'000, .threads = 3};
};

TEST_F(PixelCacheTest, HasTheSamplesOfTheDataset) {
  const auto data = std::make_shared<WideImages>(700, 4, 5);
  const auto cached = open(data);
  ASSERT_EQ(cached->size(), 700);
  EXPECT_EQ(data->decoded, 700);
  for (const int64_t index : {0, 255, 256, 699}) {
    const Sample got = cached->get(index);
    const Sample expected = data->get(index);
    ASSERT_EQ(got.image.shape, expected.image.shape);
    EXPECT_TRUE(std::equal(got.image.pixels, got.image.pixels + got.image.shape.elements(),
                           expected.image.pixels))
        << index;
    EXPECT_EQ(got.target.category, expected.target.category);
  }
  EXPECT_EQ(cached->targets().names, data->targets().names);
}

TEST_F(PixelCacheTest, IsMadeOnceForContentWhereverItLies) {
  open(std::make_shared<WideImages>(300, 4, 5));
  const auto again = std::make_shared<WideImages>(300, 4, 5);
  const auto cached = open(again);
  EXPECT_EQ(again->decoded, 0);
  EXPECT_EQ(files(".pixels").size(), 1U);
  EXPECT_TRUE(files(".part").empty());

  const auto other = std::make_shared<WideImages>(300, 4, 5);
  other->print = "other content";
  const auto of_other = open(other);
  EXPECT_EQ(other->decoded, 300);
  EXPECT_NE(cached->fingerprint(), of_other->fingerprint());
}

TEST_F(PixelCacheTest, ReducesTheShorterSideAndTellsThatInTheFingerprint) {
  const auto data = std::make_shared<WideImages>(2, 8, 20);
  const auto whole = open(data, 8);
  const auto reduced = open(data, 4);
  EXPECT_EQ(whole->get(0).image.shape, (ImageShape{3, 8, 20}));
  EXPECT_EQ(reduced->get(0).image.shape, (ImageShape{3, 4, 10}));
  EXPECT_NE(whole->fingerprint(), reduced->fingerprint());
  // A constant stays what it is.
  const auto flat = std::make_shared<WideImages>(1, 300, 1);
  EXPECT_EQ(open(flat, 1)->get(0).image.shape, (ImageShape{3, 300, 1}));
}

/// Each sample is the value of the scaled image, rounded to the nearest, its channels beside each
/// other.
TEST_F(PixelCacheTest, ReducedPixelsAreRounded) {
  const auto data = std::make_shared<WideImages>(3, 31, 47);
  const auto cached = open(data, 9);
  for (int64_t i = 0; i < 3; ++i) {
    const Image from = data->get(i).image;
    const Image found = cached->get(i).image;
    ASSERT_EQ(found.shape, (ImageShape{3, 9, 14}));
    std::vector<float> values(static_cast<size_t>(found.shape.elements()));
    resized_crop(from, {0, 0, 31, 47}, {found.shape, values.data()});
    const int64_t area = found.shape.height * found.shape.width;
    for (int64_t place = 0; place < found.shape.elements(); ++place) {
      const float value = 255 * values[static_cast<size_t>(place % 3 * area + place / 3)];
      ASSERT_EQ(found.pixels[place], std::lround(value)) << place;
    }
  }
}

TEST_F(PixelCacheTest, AnImageOutlivesItsDataset) {
  auto cached = open(std::make_shared<WideImages>(3, 2, 2));
  const Sample sample = cached->get(2);
  cached.reset();
  EXPECT_EQ(sample.image.pixels[0], 62);
}

TEST_F(PixelCacheTest, AKilledProcessLeavesWhatTheNextOneContinues) {
  const auto data = std::make_shared<WideImages>(1000, 4, 5);
  const pid_t child = fork();
  if (child == 0) {
    data->die_at = 600;
    PixelCacheSettings alone = settings_;
    alone.threads = 1;
    with_cached_pixels(data, 100, alone);
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  ASSERT_EQ(files(".part").size(), 1U);
  EXPECT_EQ(read_pixel_file_head(files(".part")[0]).samples, 512);

  const auto cached = open(data);
  EXPECT_EQ(data->decoded, 1000 - 512);
  EXPECT_EQ(cached->get(100).image.pixels[0], static_cast<uint8_t>(100 * 31));
}

TEST_F(PixelCacheTest, ABlockThatIsNotWholeIsDecodedAgain) {
  const auto data = std::make_shared<WideImages>(600, 4, 5);
  data->broken = 599;
  EXPECT_THROW(open(data), Error);
  const fs::path part = files(".part").at(0);
  ASSERT_EQ(read_pixel_file_head(part).samples, 512);
  fs::resize_file(part, fs::file_size(part) - 1);
  data->broken = -1;
  data->decoded = 0;
  const auto cached = open(data);
  EXPECT_EQ(data->decoded, 600 - 256);
  EXPECT_EQ(cached->get(511).image.pixels[0], static_cast<uint8_t>(511 * 31));
}

TEST_F(PixelCacheTest, ABlockWhoseContentChangedIsDecodedAgain) {
  const auto data = std::make_shared<WideImages>(300, 4, 5);
  data->broken = 299;
  EXPECT_THROW(open(data), Error);
  const fs::path part = files(".part").at(0);
  std::fstream file(part, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x55');
  file.close();
  data->broken = -1;
  data->decoded = 0;
  open(data);
  EXPECT_EQ(data->decoded, 300);
}

TEST_F(PixelCacheTest, ADamagedFileIsNamedWithWhatToDo) {
  const auto data = std::make_shared<WideImages>(5, 4, 5);
  open(data);
  const fs::path file = files(".pixels").at(0);
  for (const uint64_t size : {fs::file_size(file) - 3, uint64_t{20}, uint64_t{0}}) {
    fs::resize_file(file, size);
    try {
      open(data);
      ADD_FAILURE() << size;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(file.string()), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("Remove the file"), std::string::npos);
    }
  }
}

TEST_F(PixelCacheTest, OldestFilesMakeRoom) {
  const auto first = std::make_shared<WideImages>(100, 10, 10);
  first->print = "first";
  const auto kept = open(first);
  const fs::path oldest = files(".pixels").at(0);
  fs::last_write_time(oldest, fs::file_time_type::clock::now() - std::chrono::hours(5));
  settings_.limit = 50'000;
  const auto second = std::make_shared<WideImages>(100, 10, 10);
  second->print = "second";
  open(second);
  EXPECT_FALSE(fs::exists(oldest));
  EXPECT_EQ(files(".pixels").size(), 1U);
  EXPECT_EQ(kept->get(1).image.pixels[0], 31) << "who has it open keeps it";
}

/// The lock of a file, held as long as the descriptor is open.
FileDescriptor locked(const fs::path& file) {
  FileDescriptor open(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(flock(open.get(), LOCK_EX | LOCK_NB), 0);
  return open;
}

TEST_F(PixelCacheTest, WhatWasBegunMakesRoomUnlessItIsBeingMade) {
  const auto left = std::make_shared<WideImages>(300, 10, 10);
  left->print = "left";
  left->broken = 280;
  EXPECT_THROW(open(left), Error);
  const fs::path part = files(".part").at(0);
  fs::last_write_time(part, fs::file_time_type::clock::now() - std::chrono::hours(5));
  settings_.limit = 50'000;
  const auto data = std::make_shared<WideImages>(100, 10, 10);
  {
    const FileDescriptor maker = locked(part);
    data->print = "first";
    open(data);
    EXPECT_TRUE(is_being_made(part));
    EXPECT_TRUE(fs::exists(part));
    std::error_code error;
    EXPECT_FALSE(remove_pixel_cache(part, error));
    EXPECT_FALSE(error) << error.message();
  }
  EXPECT_FALSE(is_being_made(part));
  data->print = "second";
  open(data);
  EXPECT_FALSE(fs::exists(part));
  EXPECT_EQ(files(".pixels").size(), 1U);
}

/// The lock that was waited for may be that of a file which is gone meanwhile.
TEST_F(PixelCacheTest, TheLockOfARemovedFileIsNoRightToMakeTheNextOne) {
  const auto data = std::make_shared<WideImages>(300, 4, 5);
  data->broken = 299;
  EXPECT_THROW(open(data), Error);
  data->broken = -1;
  const fs::path part = files(".part").at(0);
  FileDescriptor first = locked(part);
  std::atomic<bool> made = false;
  std::thread other([&] {
    open(data);
    made = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // until it waits
  fs::remove(part);
  FileDescriptor second = locked(part);
  first.close();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_FALSE(made) << "another process makes the file";
  second.close();
  other.join();
  EXPECT_EQ(files(".pixels").size(), 1U);
  EXPECT_TRUE(files(".part").empty());
}

TEST_F(PixelCacheTest, DataLargerThanTheLimitIsRefusedAndLeavesNothing) {
  settings_.limit = 10'000;
  try {
    open(std::make_shared<WideImages>(1000, 10, 10));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("BISSL_PIXEL_CACHE_LIMIT"), std::string::npos);
  }
  EXPECT_TRUE(files(".part").empty());
  EXPECT_TRUE(files(".pixels").empty());
}

TEST_F(PixelCacheTest, SeveralProcessesMakeOneFile) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto data = std::make_shared<WideImages>(2000, 6, 6);
      const auto cached = open(data);
      _exit(cached->get(1999).image.pixels[0] == static_cast<uint8_t>(1999 * 31) ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(files(".pixels").size(), 1U);
  EXPECT_TRUE(files(".part").empty());
}

TEST_F(PixelCacheTest, MasksAndAMissingFolderAreRefused) {
  const auto masks = std::make_shared<WideImages>(3, 2, 2);
  masks->kind = TargetKind::mask;
  EXPECT_THROW(open(masks), Error);
  settings_.folder.clear();
  EXPECT_THROW(open(std::make_shared<WideImages>(3, 2, 2)), Error);
}

TEST_F(PixelCacheTest, ListsWhatIsCompleteAndWhatIsBegun) {
  EXPECT_TRUE(list_pixel_caches(settings_.folder).empty());
  open(std::make_shared<WideImages>(3, 2, 2));
  const auto broken = std::make_shared<WideImages>(300, 2, 2);
  broken->print = "broken";
  broken->broken = 280;
  EXPECT_THROW(open(broken), Error);
  std::map<std::string, PixelCacheFile> by_source;
  for (const PixelCacheFile& file : list_pixel_caches(settings_.folder)) {
    by_source[file.source] = file;
  }
  EXPECT_TRUE(by_source.at("wide at 100 pixels").complete);
  EXPECT_EQ(by_source.at("wide at 100 pixels").samples, 3);
  EXPECT_FALSE(by_source.at("broken at 100 pixels").complete);
  EXPECT_EQ(by_source.at("broken at 100 pixels").samples, 256);
}

TEST(PixelCacheLimit, IsASizeWithAUnit) {
  const auto with = [](const char* text) {
    setenv("BISSL_PIXEL_CACHE_LIMIT", text, 1);
    return pixel_cache_limit();
  };
  EXPECT_EQ(with("20G"), 20'000'000'000U);
  EXPECT_EQ(with("1.5K"), 1500U);
  EXPECT_EQ(with("7"), 7U);
  for (const char* wrong : {"", "G", "20GB", "-1", "20X", "nan"}) {
    EXPECT_THROW(with(wrong), Error) << wrong;
  }
  unsetenv("BISSL_PIXEL_CACHE_LIMIT");
  EXPECT_EQ(pixel_cache_limit(), 50'000'000'000U);
}

}  // namespace
}  // namespace bissl::host::test
