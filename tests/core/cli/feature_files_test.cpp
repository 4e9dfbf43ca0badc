#include "cli/feature_files.h"

#include "core/data/fake_data.h"
#include "support/temporary_folder.h"

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <spng.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <regex>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

/// A PNG file as three bytes for each pixel.
struct DecodedSprite {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> bytes;

  explicit DecodedSprite(const std::filesystem::path& file) {
    const std::string png = read_file(file);
    const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> decoder(spng_ctx_new(0), spng_ctx_free);
    EXPECT_EQ(spng_set_png_buffer(decoder.get(), png.data(), png.size()), 0);
    spng_ihdr header{};
    EXPECT_EQ(spng_get_ihdr(decoder.get(), &header), 0);
    height = header.height;
    width = header.width;
    bytes.resize(static_cast<size_t>(3 * height * width));
    EXPECT_EQ(spng_decode_image(decoder.get(), bytes.data(), bytes.size(), SPNG_FMT_RGB8, 0), 0);
  }

  /// How many pixels of a square of `side` differ from one gray.
  int64_t others(int64_t top, int64_t left, int64_t side, int64_t gray) const {
    int64_t found = 0;
    for (int64_t row = top; row < top + side; ++row) {
      for (int64_t byte = 3 * (row * width + left); byte < 3 * (row * width + left + side);
           ++byte) {
        found += bytes.at(static_cast<size_t>(byte)) == gray ? 0 : 1;
      }
    }
    return found;
  }
};

/// What the expression has in brackets, of each match.
std::vector<std::string> matches(const std::string& text, const std::string& expression) {
  const std::regex pattern(expression);
  std::vector<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    found.push_back((*match)[1].str());
  }
  return found;
}

/// Ten of fifteen samples, each a gray of its own: the sprite that the projector's configuration
/// names is a square of as many tiles as TensorBoard expects, in the order of the samples.
TEST(FeatureFiles, TilesOfASpriteAreTheSamplesInTheirOrder) {
  std::vector<int64_t> labels(15, 1);
  for (size_t i = 0; i < labels.size(); i += 3) {
    labels[i] = 0;
  }
  SelectionOptions selection;
  selection.classes = {"kept"};
  const DataView data(
      std::make_shared<FakeDataset>(labels, std::vector<std::string>{"left out", "kept"}),
      selection);
  ASSERT_EQ(data.size(), 10);
  FeatureTable table;
  table.features = at::zeros({data.size(), 3}, at::kFloat);
  for (int64_t i = 0; i < data.size(); ++i) {
    table.names.push_back(std::to_string(data.place(i)));
  }
  const TemporaryFolder folder;
  const std::filesystem::path to = folder.path() / "f.tsv";
  write_features(to, table, {}, data);
  for (const std::filesystem::path& file : feature_files(to, table)) {
    EXPECT_TRUE(std::filesystem::exists(file)) << file;
  }

  const std::string config = read_file(folder.path() / "projector_config.pbtxt");
  const std::vector<std::string> names = matches(config, R"re(image_path: "([^"]+)")re");
  const std::vector<std::string> sides = matches(config, R"re(single_image_dim: (\d+))re");
  ASSERT_EQ(names.size(), 1U) << config;
  ASSERT_EQ(sides.size(), 2U) << config;
  EXPECT_EQ(sides[0], sides[1]);
  ASSERT_TRUE(std::filesystem::exists(folder.path() / names[0])) << config;
  const DecodedSprite sprite(folder.path() / names[0]);
  const int64_t side = std::stoll(sides[0]);
  constexpr int64_t columns = 4;  // the fewest whose square is 10 or more
  ASSERT_EQ(sprite.width, columns * side);
  ASSERT_EQ(sprite.height, columns * side);
  for (int64_t tile = 0; tile < data.size(); ++tile) {
    EXPECT_EQ(sprite.others(tile / columns * side, tile % columns * side, side, data.place(tile)),
              0)
        << "tile " << tile;
  }
}

}  // namespace
}  // namespace bissl::host::test
