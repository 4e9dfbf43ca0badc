#include "preview/throughput.h"

#include "core/data/fake_data.h"
#include "support/temporary_folder.h"

#include "bissl/data_files.h"
#include "bissl/sample_names.h"

#include <chrono>
#include <ctime>
#include <filesystem>
#include <string>
#include <thread>

namespace bissl::host::test {
namespace {

constexpr auto waiting = std::chrono::milliseconds(3);
constexpr double working = 0.001;  // seconds of processor

/// Waits, as for a slow disk, before each sample.
class SlowDataset : public FakeDataset {
 public:
  SlowDataset() : FakeDataset({-1, -1, -1, -1}, {}) {}
  Sample get(int64_t index) const override {
    std::this_thread::sleep_for(waiting);
    return FakeDataset::get(index);
  }
};

/// Four samples, each of which has a file of its name.
class FileDataset : public FakeDataset, public DataFiles, public SampleNames {
 public:
  FileDataset() : FakeDataset({-1, -1, -1, -1}, {}) {}
  void* capability(std::string_view id) override {
    return provide<DataFiles, SampleNames>(*this, id);
  }
  std::vector<DataFile> data_files() const override {
    std::vector<DataFile> files = {{"list", (folder() / "list").string()}};
    for (int64_t i = 0; i < size(); ++i) {
      files.push_back({sample_name(i), (folder() / sample_name(i)).string()});
    }
    return files;
  }
  std::string sample_name(int64_t index) const override { return "image-" + std::to_string(index); }
  static std::filesystem::path& folder() {
    static std::filesystem::path place;
    return place;
  }
};

/// Waits and works for each view.
class SlowAugmentation : public FakeAugmentation {
 public:
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    std::this_thread::sleep_for(waiting);
    const std::clock_t start = std::clock();
    while (double(std::clock() - start) / CLOCKS_PER_SEC < working) {
    }
    return FakeAugmentation::apply(image, view, stream, output);
  }
};

template <class Interface, class Class>
ComponentChoice choice_of(ComponentKind kind) {
  auto component = std::make_shared<RegisteredComponent>();
  component->info.kind = kind;
  component->info.text.name = "slow";
  component->library.path = "/lib/slow.so";
  component->info.create = [](const ParameterValues& /*values*/, const void* /*context*/) {
    return std::static_pointer_cast<void>(
        std::static_pointer_cast<Interface>(std::make_shared<Class>()));
  };
  return {std::move(component), {}, "p.toml:3:1"};
}

/// What other programs on the same cores, or a disk, make wait is not counted.
TEST(DataCost, IsOfTheProcessorAndNotOfTheClock) {
  Pipeline pipeline;
  DataSource source;
  source.name = "slow";
  source.dataset = choice_of<Dataset, SlowDataset>(ComponentKind::dataset);
  source.selection.values = defaults(selection_schema().specs());
  pipeline.data.push_back(source);
  DataCatalog data(pipeline);
  ViewsChoice views;
  views.groups.emplace_back().augment.steps = {
      choice_of<Augmentation, SlowAugmentation>(ComponentKind::augmentation)};
  const ViewRecipe recipe{
      .stage = "s", .place = "s", .data = "slow", .choice = &views, .views = 2, .batch = 4};
  const DataCost cost = cost_of_views(recipe, data, 0.001);
  const double waited = std::chrono::duration<double>(waiting).count();
  ASSERT_EQ(cost.parts.size(), 2U);
  EXPECT_LT(cost.parts[0].seconds, waited / 2);
  EXPECT_GE(cost.parts[1].seconds, working * 0.9);
  EXPECT_LT(cost.parts[1].seconds, working + waited / 2);
  EXPECT_GE(cost.seconds_of_sample, 2 * working * 0.9);
  EXPECT_LT(cost.seconds_of_sample, 2 * working + waited);
}

/// The bytes of an image's file are a part by themselves; of files that are no images nothing is
/// read.
TEST(DataCost, OfReadingIsMeasuredWhereEachImageHasAFile) {
  const TemporaryFolder folder;
  FileDataset::folder() = folder.path();
  for (const char* name : {"image-0", "image-1", "image-2", "image-3"}) {
    write_file(folder.path() / name, std::string(100'000, 'x'));
  }
  Pipeline pipeline;
  DataSource source;
  source.name = "files";
  source.dataset = choice_of<Dataset, FileDataset>(ComponentKind::dataset);
  source.selection.values = defaults(selection_schema().specs());
  pipeline.data.push_back(source);
  DataCatalog data(pipeline);
  ViewsChoice views;
  views.groups.emplace_back().augment.steps = {
      choice_of<Augmentation, FakeAugmentation>(ComponentKind::augmentation)};
  const ViewRecipe recipe{
      .stage = "s", .place = "s", .data = "files", .choice = &views, .views = 2, .batch = 4};
  const auto component = DatasetCache().open(source.dataset);
  const DataCost cost = cost_of_views(recipe, data, 0.001, component.get());
  ASSERT_EQ(cost.parts.size(), 3U);
  EXPECT_EQ(cost.parts[0].part, "read");
  EXPECT_EQ(cost.parts[1].part, "read and decode");
  EXPECT_GT(cost.parts[0].seconds, 0);
  EXPECT_EQ(cost_of_views(recipe, data, 0.001).parts.size(), 2U);
}

}  // namespace
}  // namespace bissl::host::test
