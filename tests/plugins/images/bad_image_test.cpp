#include "image_cases.h"

#include "bissl/error.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <random>
#include <thread>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using test::image_cases;
using test::image_folder;

/// The error's text behind the name of the file, or "no error".
std::string refusal(std::string_view bytes, const ImageOptions& options = {}) {
  const std::string name = "some/file";
  try {
    decode_image(bytes, name, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    const std::string text = error.what();
    EXPECT_TRUE(text.starts_with(name + ": ")) << text;
    return text.substr(name.size() + 2);
  }
  return "no error";
}

std::string file(const std::string& name) { return test::read_file(image_folder() / name); }

std::string big_endian(uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) {
    text += static_cast<char>(value >> (8 * i) & 0xFF);
  }
  return text;
}

/// Writes a little-endian number into a copy of the bytes.
std::string with_number(std::string bytes, size_t at, uint32_t value, size_t size) {
  std::memcpy(bytes.data() + at, &value, size);
  return bytes;
}

TEST(BadImages, CutFilesAreRefused) {
  for (const auto& [name, image] : image_cases()["images"].items()) {
    SCOPED_TRACE(name);
    const std::string whole = file(name);
    // What follows the first image of an animation is not missed.
    const size_t needed = name == "animated.gif" ? whole.size() / 3 : whole.size() * 3 / 4;
    for (size_t size = 0; size <= needed; size += 1 + needed / 23) {
      EXPECT_NE(refusal(std::string_view(whole).substr(0, size), test::options_of(image)),
                "no error")
          << size << " of " << whole.size() << " bytes";
    }
  }
}

TEST(BadImages, TextsSayWhatIsMissing) {
  const auto half = [](const std::string& name) {
    const std::string whole = file(name);
    return refusal(std::string_view(whole).substr(0, whole.size() - whole.size() / 4));
  };
  EXPECT_TRUE(half("large.jpg").starts_with("JPEG: is cut short: ends after "))
      << half("large.jpg");
  EXPECT_TRUE(half("large.jpg").ends_with(" of 88")) << half("large.jpg");
  EXPECT_EQ(half("bytes.ppm"), "PNM: is cut short: has 319 bytes of pixels; expected 429");
  EXPECT_EQ(half("rgb.bmp"), "BMP: is cut short: ends after 371 bytes, within its pixels");
  EXPECT_EQ(half("lossless.webp"), "WebP: is cut short");
  EXPECT_EQ(half("rgb-8.png"), "PNG: is cut short: end of stream");
  EXPECT_EQ(refusal(""), "is empty");
  EXPECT_EQ(refusal("<!DOCTYPE html>"),
            "is no image that can be read: begins with 3c 21 44 4f 43 54 59 50; expected JPEG, "
            "PNG, WebP, TIFF, BMP, PNM or GIF");
}

TEST(BadImages, ChangedBytesNeverCrash) {
  std::mt19937 generator(7);
  for (const auto& [name, image] : image_cases()["images"].items()) {
    SCOPED_TRACE(name);
    const std::string whole = file(name);
    const ImageOptions options = test::options_of(image);
    for (int trial = 0; trial < 60; ++trial) {
      std::string changed = whole;
      const size_t changes = 1 + generator() % 4;
      for (size_t i = 0; i < changes; ++i) {
        changed[generator() % changed.size()] = static_cast<char>(generator());
      }
      EXPECT_NO_THROW(refusal(changed, options));
    }
  }
}

/// Files of few bytes that claim many pixels.
TEST(BadImages, EnormousImagesAreRefusedBeforeMemoryIsTaken) {
  std::string png = file("rgb-8.png");
  png.replace(16, 8, big_endian(60000, 4) + big_endian(60000, 4));
  EXPECT_EQ(refusal(png),
            "is of 60000 x 60000 pixels; at most 100000000 in all are read, see `max_pixels`");
  std::string jpeg = file("rgb-420.jpg");
  jpeg.replace(jpeg.find("\xFF\xC0") + 5, 4, big_endian(65500, 2) + big_endian(65500, 2));
  EXPECT_EQ(refusal(jpeg),
            "is of 65500 x 65500 pixels; at most 100000000 in all are read, see `max_pixels`");
  EXPECT_EQ(refusal(with_number(file("palette.gif"), 6, 0xFFFFFFFF, 4)),
            "is of 65535 x 65535 pixels; at most 100000000 in all are read, see `max_pixels`");
  EXPECT_EQ(refusal(with_number(with_number(file("runs-8.bmp"), 18, 30000, 4), 22, 30000, 4)),
            "is of 30000 x 30000 pixels; at most 100000000 in all are read, see `max_pixels`");
  EXPECT_EQ(refusal("P6 99999999 99999999 255\n"),
            "is of 99999999 x 99999999 pixels; at most 100000000 in all are read, see "
            "`max_pixels`");
  EXPECT_EQ(refusal("P3 9999 9999 255\n1 2 3"),
            "PNM: is cut short: has 6 bytes of text for 299940003 samples");
  // The first entry of a TIFF's directory is the width: tag, type, count, value.
  const std::string tiff = file("rgb.tif");
  uint32_t directory = 0;
  std::memcpy(&directory, tiff.data() + 4, 4);
  EXPECT_EQ(refusal(with_number(tiff, directory + 2 + 8, 20'000'000, 4)),
            "is of 20000000 x 11 pixels; at most 100000000 in all are read, see `max_pixels`");
  EXPECT_EQ(refusal(file("rgb-8.png"), {.max_pixels = 142}),
            "is of 13 x 11 pixels; at most 142 in all are read, see `max_pixels`");
  EXPECT_EQ(refusal(file("rgb-8.png"), {.max_pixels = 143}), "no error");
}

TEST(BadImages, SidesOfNothingAreRefused) {
  EXPECT_EQ(refusal("P6 0 5 255\n"), "is of 0 x 5 pixels; expected at least 1 x 1");
  EXPECT_EQ(refusal(with_number(file("rgb.bmp"), 18, 0, 4)),
            "is of 0 x 11 pixels; expected at least 1 x 1");
  EXPECT_EQ(refusal(with_number(file("rgb.bmp"), 18, 0xFFFFFFFF, 4)),
            "is of -1 x 11 pixels; expected at least 1 x 1");
}

TEST(BadImages, AProgressiveFileCannotAskForAnyNumberOfPasses) {
  const std::string whole = file("progressive.jpg");
  const size_t last_scan = whole.rfind("\xFF\xDA");
  const size_t end = whole.rfind("\xFF\xD9");
  std::string many = whole.substr(0, last_scan);
  for (int i = 0; i < 150; ++i) {
    many += whole.substr(last_scan, end - last_scan);
  }
  EXPECT_EQ(refusal(many + whole.substr(end)),
            "JPEG: cannot be decoded: it has more than 100 scans");
}

/// A gray TIFF all of whose parts are the same bytes of the file: tiles of one column and
/// `tile_height` rows, or with 0 strips of one row. Either the width or the height is 1.
std::string tiff_of_equal_parts(uint32_t width, uint32_t height, uint32_t tile_height,
                                const std::string& part) {
  constexpr uint32_t part_at = 8;
  const uint32_t parts = width * height;
  const auto offsets_at = static_cast<uint32_t>(part_at + part.size());
  const uint32_t counts_at = offsets_at + 4 * parts;
  const auto entry = [](uint32_t tag, bool is_short, uint32_t count, uint32_t value) {
    return big_endian(tag, 2) + big_endian(is_short ? 3U : 4U, 2) + big_endian(count, 4) +
           (is_short ? big_endian(value, 2) + std::string(2, '\0') : big_endian(value, 4));
  };
  std::string entries = entry(256, false, 1, width) + entry(257, false, 1, height) +
                        entry(258, true, 1, 8) + entry(259, true, 1, 1) + entry(262, true, 1, 1);
  if (tile_height == 0) {
    entries += entry(273, false, parts, offsets_at) + entry(277, true, 1, 1) +
               entry(278, false, 1, 1) + entry(279, false, parts, counts_at);
  } else {
    entries += entry(277, true, 1, 1) + entry(322, false, 1, 1) +
               entry(323, false, 1, tile_height) + entry(324, false, parts, offsets_at) +
               entry(325, false, parts, counts_at);
  }
  std::string bytes = std::string("MM\0*", 4) + big_endian(counts_at + 4 * parts, 4) + part;
  for (uint32_t i = 0; i < parts; ++i) {
    bytes += big_endian(part_at, 4);
  }
  for (uint32_t i = 0; i < parts; ++i) {
    bytes += big_endian(static_cast<uint32_t>(part.size()), 4);
  }
  const auto count = static_cast<uint32_t>(entries.size() / 12);
  return bytes + big_endian(count, 2) + entries + big_endian(0, 4);
}

/// Files of some hundred kilobytes that would take minutes, or with larger numbers days.
TEST(BadImages, PartsOfATiffMayNotBeAnyNumberOfBytes) {
  const std::string tile(4096, 'x');
  EXPECT_EQ(refusal(tiff_of_equal_parts(40, 1, 4096, tile)), "no error");
  EXPECT_EQ(refusal(tiff_of_equal_parts(60'000, 1, 4096, tile), {.max_pixels = 60'000}),
            "TIFF: has 60000 parts of 4096 bytes each, far more than an image of 60000 x 1 pixels "
            "needs and than are read, see `max_pixels`");
  EXPECT_EQ(refusal(tiff_of_equal_parts(1, 40, 0, "x")), "no error");
  const std::string shared = tiff_of_equal_parts(1, 60'000, 0, std::string(30'000, 'x'));
  EXPECT_EQ(refusal(shared),
            "TIFF: says that its 60000 parts have 1800000000 bytes together, and has " +
                std::to_string(shared.size()) + "; it is damaged");
}

TEST(BadImages, SamplesThatAreNotReadAreNamed) {
  EXPECT_EQ(refusal(file("real-32.tif"), {.channels = "gray"}),
            "TIFF: has floating point samples: say by `range` which become black and white, such "
            "as range = [0.0, 1.0]");
  EXPECT_EQ(refusal("P5 2 1 70000\n    "), "PNM: its largest value is 70000; expected 1 to 65535");
  EXPECT_EQ(refusal("P2 2 1 9\n3 10 "), "PNM: has a sample of 10; its header says at most 9");
  EXPECT_EQ(refusal("P2 2 1 9\n3 x "), "PNM: byte 11 is 0x78; expected a digit of a sample");
  EXPECT_EQ(refusal(with_number(file("rgb.bmp"), 28, 13, 2)),
            "BMP: has 13 bits a pixel; expected 1, 4, 8, 16, 24 or 32");
  EXPECT_EQ(refusal(with_number(file("rgb.bmp"), 30, 4, 4)),
            "BMP: is of compression 4 with 24 bits a pixel, which is not read");
}

class BadPlaces : public testing::Test {
 protected:
  std::string refusal_of(const std::string& name) const {
    const std::string path = (folder_.path() / name).string();
    try {
      read_image(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      const std::string text = error.what();
      EXPECT_TRUE(text.starts_with(path + ": ")) << text;
      return text.substr(path.size() + 2);
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
};

TEST_F(BadPlaces, WhatIsNoFileIsRefused) {
  fs::create_directory(folder_.path() / "folder.png");
  ASSERT_EQ(::mkfifo((folder_.path() / "pipe.png").c_str(), 0600), 0);
  fs::create_symlink("circle.png", folder_.path() / "circle.png");
  EXPECT_EQ(refusal_of("missing.png"), "cannot be read: No such file or directory");
  EXPECT_EQ(refusal_of("folder.png"), "is a folder; expected a file");
  EXPECT_EQ(refusal_of("pipe.png"), "is no regular file; expected a file");
  EXPECT_EQ(refusal_of("circle.png"), "cannot be read: Too many levels of symbolic links");
}

TEST_F(BadPlaces, AFileOfMoreThanAGigabyteIsNotRead) {
  test::write_file(folder_.path() / "large.png", "x");
  fs::resize_file(folder_.path() / "large.png", (uint64_t{1} << 30) + 1);  // a hole
  EXPECT_EQ(refusal_of("large.png"), "has 1073741825 bytes; at most 1073741824 are read");
}

/// The libraries' reports of errors do not mix between threads.
TEST(BadImages, ThreadsDecodeGoodAndBadFilesAtOnce) {
  std::vector<std::string> bytes;
  std::vector<std::string> expected;
  for (const char* name : {"tiff_lzw.tif", "jpeg.tif", "large.jpg", "rgb-8.png", "palette.gif"}) {
    const std::string whole = file(name);
    for (const size_t size : {whole.size(), whole.size() / 2, whole.size() * 2 / 3}) {
      bytes.push_back(whole.substr(0, size));
      expected.push_back(refusal(bytes.back()));
    }
  }
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 300; ++i) {
        const size_t k = (i * (t + 1) + t) % bytes.size();
        wrong[t] += refusal(bytes[k]) == expected[k] ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, std::vector<int>(4));
}

}  // namespace
}  // namespace bissl::host
