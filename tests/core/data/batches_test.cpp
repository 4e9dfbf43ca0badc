#include "core/data/fake_data.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <thread>

namespace bissl::host {
namespace {

using test::error_of;
using test::FakeDataset;
using test::samples;
using test::source_of;
using test::unlabelled;
using Indices = std::vector<int64_t>;

/// The samples of batches first … last.
Indices sequence(const BatchSource& source, int64_t first, int64_t last) {
  Indices all;
  for (int64_t number = first; number <= last; ++number) {
    const Indices batch = samples(source.make(number));
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

Indices all_of(int64_t count) {
  Indices indices(static_cast<size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

bool equal(const Batch& x, const Batch& y) {
  return test::equal(x.views, y.views) && x.indices.equal(y.indices) &&
         x.targets.dense.defined() == y.targets.dense.defined() &&
         (!x.targets.dense.defined() || x.targets.dense.equal(y.targets.dense));
}

TEST(BatchSource, ShuffledTakesEachSampleOnceAnEpoch) {
  // Batches of 3, 5 and 25 go across the ends of epochs of 10 samples.
  for (const int64_t batch : {1, 2, 3, 5, 10, 25}) {
    const auto source = source_of(unlabelled(10), {.batch = batch, .purpose = "test"});
    const Indices all = sequence(*source, 0, 60 / batch - 1);
    Indices last;
    for (size_t epoch = 0; epoch + 1 <= all.size() / 10; ++epoch) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(10 * epoch);
      const Indices order(begin, begin + 10);
      Indices sorted = order;
      std::sort(sorted.begin(), sorted.end());
      EXPECT_EQ(sorted, all_of(10)) << "batches of " << batch << ", epoch " << epoch;
      EXPECT_NE(order, last) << "every epoch has an order of its own";
      last = order;
    }
  }
}

TEST(BatchSource, TheOrderOfSamplesDoesNotDependOnTheBatchSize) {
  const auto small = source_of(unlabelled(10), {.batch = 2, .purpose = "test"});
  const auto large = source_of(unlabelled(10), {.batch = 20, .purpose = "test"});
  EXPECT_EQ(sequence(*small, 0, 9), sequence(*large, 0, 0));
  EXPECT_EQ(samples(large->make(0)).size(), 20U);
}

TEST(BatchSource, ABatchLargerThanManyEpochsIsFull) {
  const auto source = source_of(unlabelled(3), {.batch = 50, .purpose = "test"});
  const Batch batch = source->make(7);
  EXPECT_EQ(batch.views[0].size(0), 50);
  EXPECT_TRUE(equal(batch, source->make(7)));
}

TEST(BatchSource, SequentialGoesThroughTheDataOnce) {
  const auto source =
      source_of(unlabelled(10), {.batch = 4, .order = Order::sequential, .purpose = "test"});
  EXPECT_EQ(source->batches(), 3);
  EXPECT_EQ(source->samples(), 10);
  EXPECT_EQ(sequence(*source, 0, 2), all_of(10));
  EXPECT_EQ(source->make(2).views[0].size(0), 2);
  const auto larger =
      source_of(unlabelled(10), {.batch = 64, .order = Order::sequential, .purpose = "test"});
  EXPECT_EQ(larger->batches(), 1);
  EXPECT_EQ(samples(larger->make(0)), all_of(10));
}

TEST(BatchSource, HasTheShapesPromised) {
  const auto source = source_of(
      std::make_shared<FakeDataset>(Indices{1, 0, 2, 1}, std::vector<std::string>{"a", "b", "c"}),
      {.batch = 3, .views = 2, .order = Order::sequential, .purpose = "test"});
  EXPECT_EQ(source->view_shape(), (ImageShape{1, 1, 2}));
  const Batch batch = source->make(0);
  ASSERT_EQ(batch.views.size(), 2U);
  for (const at::Tensor& view : batch.views) {
    EXPECT_EQ(view.sizes(), (Indices{3, 1, 1, 2}));
    EXPECT_EQ(view.scalar_type(), at::kFloat);
  }
  EXPECT_EQ(batch.targets.dense.scalar_type(), at::kLong);
  EXPECT_EQ(batch.targets.dense[0].item<int64_t>(), 1);
  EXPECT_EQ(batch.targets.dense[2].item<int64_t>(), 2);
  // Views are numbered: the second one's random number has 1 added.
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(batch.views[0][i].flatten()[0].item<float>(), static_cast<float>(i));
    EXPECT_EQ(batch.views[1][i].flatten()[0].item<float>(), static_cast<float>(i));
    const float first = batch.views[0][i].flatten()[1].item<float>();
    const float second = batch.views[1][i].flatten()[1].item<float>();
    EXPECT_TRUE(first >= 0 && first < 1 && second >= 1 && second < 2);
    EXPECT_NE(first, second - 1) << "each view has a stream of its own";
  }
  EXPECT_FALSE(source_of(unlabelled(3), {.purpose = "test"})->make(0).targets.dense.defined());
}

TEST(BatchSource, LabelsStayWithTheirSamples) {
  Indices labels;
  for (int64_t i = 0; i < 20; ++i) {
    labels.push_back(i * i % 3);
  }
  const auto source =
      source_of(std::make_shared<FakeDataset>(labels, std::vector<std::string>{"a", "b", "c"}),
                {.batch = 7, .purpose = "test"});
  for (int64_t number = 0; number < 6; ++number) {
    const Batch batch = source->make(number);
    const Indices found = samples(batch);
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(batch.targets.dense[static_cast<int64_t>(i)].item<int64_t>(),
                labels[static_cast<size_t>(found[i])]);
    }
  }
}

TEST(BatchSource, IndicesAreTheNumbersOfTheSamples) {
  const auto expect_numbers = [](const BatchSource& source) {
    for (int64_t number = 0; number < 3; ++number) {
      const Batch batch = source.make(number);
      const Indices expected = samples(batch);
      ASSERT_EQ(batch.indices.scalar_type(), at::kLong);
      ASSERT_EQ(batch.indices.sizes(), Indices{static_cast<int64_t>(expected.size())});
      const int64_t* found = batch.indices.data_ptr<int64_t>();
      EXPECT_EQ(Indices(found, found + batch.indices.numel()), expected);
      // An audit's conversion leaves them whole numbers.
      EXPECT_TRUE(converted_batch(batch, at::kDouble).indices.equal(batch.indices));
    }
  };
  expect_numbers(*source_of(unlabelled(10), {.batch = 4, .purpose = "test"}));
  expect_numbers(
      *source_of(unlabelled(10), {.batch = 4, .order = Order::sequential, .purpose = "test"}));
}

TEST(BatchSource, ABatchDependsOnItsNumberNotOnWhatWasMadeBefore) {
  const auto source = source_of(unlabelled(10), {.batch = 4, .views = 2, .purpose = "test"});
  const auto fresh = source_of(unlabelled(10), {.batch = 4, .views = 2, .purpose = "test"});
  std::vector<Batch> forwards;
  for (int64_t number = 0; number < 30; ++number) {
    forwards.push_back(source->make(number));
  }
  for (int64_t number = 29; number >= 0; --number) {
    EXPECT_TRUE(equal(fresh->make(number), forwards[static_cast<size_t>(number)])) << number;
  }
}

TEST(BatchSource, ThreadsGetTheSameBatches) {
  const auto source = source_of(unlabelled(10), {.batch = 3, .views = 2, .purpose = "test"});
  std::array<std::vector<Batch>, 4> made;
  std::vector<std::thread> threads;
  for (std::vector<Batch>& batches : made) {
    threads.emplace_back([&batches, &source] {
      for (int64_t number = 0; number < 100; ++number) {
        batches.push_back(source->make(number));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (size_t number = 0; number < 100; ++number) {
    EXPECT_TRUE(equal(made[0][number], source->make(static_cast<int64_t>(number))));
    for (const std::vector<Batch>& batches : made) {
      EXPECT_TRUE(equal(batches[number], made[0][number]));
    }
  }
}

TEST(BatchSource, SeedsAndPurposesKeepStreamsApart) {
  const auto first = source_of(unlabelled(50), {.batch = 50, .seed = 1, .purpose = "a"})->make(0);
  const auto seed = source_of(unlabelled(50), {.batch = 50, .seed = 2, .purpose = "a"})->make(0);
  const auto purpose = source_of(unlabelled(50), {.batch = 50, .seed = 1, .purpose = "b"})->make(0);
  EXPECT_NE(samples(first), samples(seed));
  EXPECT_NE(samples(first), samples(purpose));
  EXPECT_NE(samples(seed), samples(purpose));
}

TEST(BatchSource, ViewsAreNewInEveryEpoch) {
  const auto source = source_of(unlabelled(1), {.batch = 1, .purpose = "test"});
  std::vector<float> seen;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    seen.push_back(source->make(epoch).views[0].flatten()[1].item<float>());
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

TEST(BatchSource, ABatchMayBeAskedForWithOtherViewsOfItsSamples) {
  const auto source = source_of(unlabelled(10), {.batch = 4, .views = 2, .purpose = "test"});
  const Batch first = source->make(3);
  EXPECT_TRUE(equal(first, source->make(3, 0)));
  const Batch second = source->make(3, 1);
  EXPECT_TRUE(second.indices.equal(first.indices));
  EXPECT_FALSE(test::equal(second.views, first.views));
  EXPECT_TRUE(equal(second, source->make(3, 1)));
  EXPECT_FALSE(test::equal(second.views, source->make(3, 2).views));
}

TEST(BatchSource, RefusesSamplesOfAnotherShape) {
  const auto dataset = unlabelled(4);
  dataset->odd_sample = 2;
  const auto source =
      source_of(dataset, {.batch = 2, .order = Order::sequential, .purpose = "test"});
  EXPECT_EQ(samples(source->make(0)), (Indices{0, 1}));
  EXPECT_EQ(error_of([&] { source->make(1); }),
            "augment (p.toml:3:1): sample 2 of 2x5 pixels gives views of another shape than the "
            "first sample");
}

/// Every third view is larger.
class SeveralSizes : public test::FakeAugmentation {
 public:
  ImageShape view_shape(const ImageShape& input, int64_t view) const override {
    return {1, input.height + (view % 3 == 2 ? 1 : 0), input.width + 1};
  }
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    std::fill(output.begin(), output.end(), static_cast<float>(view));
    return FakeAugmentation::apply(image, view, stream, output);
  }
};

TEST(BatchSource, ViewsHaveShapesOfTheirOwn) {
  const BatchSource source(std::make_shared<const DataView>(unlabelled(4), SelectionOptions{}),
                           std::make_shared<SeveralSizes>(), "views",
                           {.batch = 2, .views = 5, .purpose = "test"});
  const Batch batch = source.make(0);
  ASSERT_EQ(batch.views.size(), 5U);
  for (int64_t view = 0; view < 5; ++view) {
    const ImageShape shape{1, view == 2 ? 2 : 1, 2};
    EXPECT_EQ(source.view_shapes()[view], shape);
    EXPECT_EQ(batch.views[view].sizes(), (Indices{2, 1, shape.height, 2}));
  }
  EXPECT_EQ(batch.views[2][1].flatten()[3].item<float>(), 2.0F);
  // Two neighbours are one buffer; the larger one lies by itself.
  EXPECT_EQ(joined({batch.views[0], batch.views[1]}).data_ptr(), batch.views[0].data_ptr());
  EXPECT_EQ(joined_by_shape(batch.views).size(), 3U);
}

/// Images of two samples of 16 bits.
class Wide : public test::FakeDataset {
 public:
  using FakeDataset::FakeDataset;
  Sample get(int64_t /*index*/) const override {
    return {
        {{2, 1, 1}, reinterpret_cast<const uint8_t*>(samples_.data()), nullptr, PixelType::uint16}};
  }

 private:
  std::array<uint16_t, 2> samples_ = {0, 65535};
};

TEST(BatchSource, ImagesOf16BitsAreRefusedWhereTheyAreNotTaken) {
  const std::string text = test::error_of([] {
    source_of(std::make_shared<Wide>(std::vector<int64_t>(4, -1), std::vector<std::string>{}),
              {.batch = 1, .purpose = "test"})
        ->make(0);
  });
  EXPECT_NE(text.find("16-bit images of the dataset"), std::string::npos) << text;
  EXPECT_NE(text.find("augmentation blur"), std::string::npos) << text;
  EXPECT_NE(text.find("takes 8-bit pixels, but the images have samples of 16 bits"),
            std::string::npos)
      << text;
}

TEST(BatchSource, TellsWhereViewsLieWhereItIsAskedTo) {
  const auto source =
      source_of(unlabelled(4), {.batch = 3, .views = 2, .purpose = "test", .geometry = true});
  const Batch batch = source->make(1);
  ASSERT_EQ(batch.geometry.size(), 2U);
  for (size_t view = 0; view < 2; ++view) {
    ASSERT_EQ(batch.geometry[view].sizes(), (std::vector<int64_t>{3, 2, 3}));
    for (int64_t sample = 0; sample < 3; ++sample) {
      EXPECT_EQ(test::geometry_of(batch, view, sample),
                (ViewGeometry{.x0 = static_cast<double>(view)}));
    }
  }
  EXPECT_TRUE(source_of(unlabelled(4), {.purpose = "test"})->make(0).geometry.empty());
}

/// Cannot make views of anything.
class Refusing : public test::FakeAugmentation {
 public:
  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    fail_input("images of {} pixels are too small", input.elements());
  }
};

TEST(BatchSource, NamesTheAugmentationThatCannotStart) {
  EXPECT_EQ(error_of([] {
              BatchSource(std::make_shared<const DataView>(unlabelled(3), SelectionOptions{}),
                          guarded(std::make_shared<Refusing>(), test::fake_choice()), "",
                          {.purpose = "test"});
            }),
            "augmentation blur (library /lib/blurs.so, used at p.toml:3:1), in view_shape: images "
            "of 1 pixels are too small");
}

}  // namespace
}  // namespace bissl::host
