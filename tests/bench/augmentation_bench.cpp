// How many images a second one core turns into two SimCLR views each.

#include "bissl/augmentation.h"
#include "sdk/plugin_library.h"

#include <fmt/format.h>

#include <ctime>
#include <vector>

namespace {

/// Pairs of views per second of processor time, measured for about a second: what else the machine
/// does counts less that way.
double pairs_per_second(const bissl::Augmentation& augmentation, const bissl::ImageShape& shape) {
  std::vector<uint8_t> pixels(static_cast<size_t>(shape.elements()));
  bissl::RandomStream noise(0, "noise");
  for (uint8_t& pixel : pixels) {
    pixel = static_cast<uint8_t>(noise.below(256));
  }
  const bissl::Image image{shape, pixels.data(), nullptr};
  std::vector<float> view(static_cast<size_t>(augmentation.view_shape(shape, 0).elements()));
  uint64_t pairs = 0;
  const std::clock_t start = std::clock();
  double seconds = 0.0;
  while (seconds < 1.0) {
    for (int i = 0; i < 64; ++i, ++pairs) {
      for (uint64_t number = 0; number < 2; ++number) {
        bissl::RandomStream stream(0, "views", 0, pairs, number);
        augmentation.apply(image, static_cast<int64_t>(number), stream, view);
      }
    }
    seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  }
  return static_cast<double>(pairs) / seconds;
}

}  // namespace

int main() {
  const bissl::host::test::PluginLibrary library("image-augmentations");
  const auto measure = [&](const char* name, const bissl::ImageShape& shape, int64_t size) {
    const auto augmentation = library.make<bissl::Augmentation>("simclr", {{"size", size}});
    fmt::print("{:<24} {:>9.0f} pairs of views per second and core\n", name,
               pairs_per_second(*augmentation, shape));
  };
  measure("28 px gray", {1, 28, 28}, 0);
  measure("28 px gray to 32 px", {1, 28, 28}, 32);
  measure("32 px colour", {3, 32, 32}, 0);
  measure("96 px colour", {3, 96, 96}, 0);
}
