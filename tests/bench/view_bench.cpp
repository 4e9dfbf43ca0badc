// How long a core takes for two SimCLR views of photographs in a folder, from the files, from files
// that are decoded at a part of their size, and from the cache of decoded pixels, in whole batches
// as a stage gets them. Called by torchvision_views.py, which does the same with torchvision and
// prints the ratios.
//
//     view_bench PHOTOS CACHE SIZE…
//
// prints as JSON the seconds of processor time for an image: {"96": {"files": …, "scaled": …,
// "cache": …}}. Decoded pixels are kept in the folder CACHE, their shorter side twice the size of
// the views; files are decoded to a shorter side of at least one and a half times that size.

#include "data/batches.h"
#include "data/guarded_augmentation.h"
#include "data/guarded_dataset.h"
#include "data/pixel_cache.h"
#include "sdk/plugin_library.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <exception>
#include <string>

namespace bissl::host {
namespace {

/// A component of a library of the build tree, as if a pipeline had asked for it.
ComponentChoice choice_of(const test::PluginLibrary& library, const std::string& name,
                          const ParameterValues& changes) {
  auto component = std::make_shared<RegisteredComponent>();
  component->info = library.component(name);
  return {std::move(component), library.values(name, changes), "view_bench"};
}

/// Seconds of processor time for an image: the mean of four passes, whose random draws differ,
/// after one that does not count.
double seconds_of(const std::shared_ptr<const Dataset>& photos, const ComponentChoice& recipe) {
  const auto data = std::make_shared<const DataView>(photos, SelectionOptions{});
  const BatchSource source(data, create_guarded_augmentation(recipe), "view_bench",
                           {.batch = data->size(), .views = 2, .purpose = "view_bench"});
  constexpr int64_t passes = 4;
  source.make(0);
  const std::clock_t start = std::clock();
  for (int64_t pass = 1; pass <= passes; ++pass) {
    source.make(pass);
  }
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC /
         static_cast<double>(passes * data->size());
}

int run(const std::string& folder, const std::string& cache, const std::vector<int64_t>& sizes) {
  const test::PluginLibrary datasets("image-folder");
  const test::PluginLibrary augmentations("image-augmentations");
  const auto open = [&](int64_t scaled_decoding) {
    return create_guarded_dataset(
        choice_of(datasets, "image-folder",
                  {{"root", folder}, {"scaled_decoding", scaled_decoding}}),
        std::make_shared<ContentHashes>(""));
  };
  const auto photos = open(0);
  std::string text;
  for (const int64_t size : sizes) {
    const ComponentChoice recipe = choice_of(augmentations, "simclr", {{"size", size}});
    const auto decoded = with_cached_pixels(photos, 2 * size, {.folder = cache, .threads = 1});
    text += fmt::format("{}\"{}\": {{\"files\": {:.9f}, \"scaled\": {:.9f}, \"cache\": {:.9f}}}",
                        text.empty() ? "" : ", ", size, seconds_of(photos, recipe),
                        seconds_of(open(size * 3 / 2), recipe), seconds_of(decoded, recipe));
  }
  fmt::print("{{{}}}\n", text);
  return 0;
}

}  // namespace
}  // namespace bissl::host

int main(int count, char** arguments) {
  if (count < 4) {
    fmt::print(stderr, "view_bench PHOTOS CACHE SIZE…\n");
    return 2;
  }
  try {
    std::vector<int64_t> sizes;
    for (int i = 3; i < count; ++i) {
      sizes.push_back(std::stoll(arguments[i]));
    }
    return bissl::host::run(arguments[1], arguments[2], sizes);
  } catch (const std::exception& error) {
    fmt::print(stderr, "view_bench: {}\n", error.what());
    return 1;
  }
}
