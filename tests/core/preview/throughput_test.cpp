#include "preview/throughput.h"

#include "core/data/fake_data.h"

#include <chrono>
#include <ctime>
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

}  // namespace
}  // namespace bissl::host::test
