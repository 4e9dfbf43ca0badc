#include "bissl/batch_transform.h"

#include "bissl/error.h"
#include "bissl/transform.h"
#include "data/chain.h"
#include "data/prefetcher.h"
#include "data/view_maker.h"
#include "fake_data.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>

namespace bissl::host {
namespace {

using test::error_of;

constexpr ImageShape image_of_batches{2, 2, 4};

/// Images of 2 x 4 pixels in two channels, all different, each with a mask: 0, 1, 0, 255 in the
/// upper row, 1 in the lower one.
class ImagesWithMasks : public Dataset {
 public:
  int64_t size() const override { return 7; }
  Sample get(int64_t index) const override {
    auto pixels = std::make_shared<std::vector<uint8_t>>();
    for (int64_t i = 0; i < image_of_batches.elements(); ++i) {
      pixels->push_back(static_cast<uint8_t>((37 * index + 11 * i * i) % 256));
    }
    const uint8_t* data = pixels->data();
    return {{image_of_batches, data, std::move(pixels)},
            {.category = -1, .values = {}, .mask = {{1, 2, 4}, mask_.data(), nullptr}}};
  }
  TargetSpec targets() const override {
    return TargetSpec::named(TargetKind::mask, {"sky", "sea"});
  }
  std::string fingerprint() const override { return "masks"; }

 private:
  std::vector<uint8_t> mask_ = {0, 1, 0, 255, 1, 1, 1, 1};
};

/// Divides pixels by 255.
class ToUnitPlanes : public PlaneMaker {
 protected:
  ViewGeometry make(const Image& image, RandomStream& /*stream*/, Planes output) const override {
    for (int64_t i = 0; i < image.shape.elements(); ++i) {
      const int64_t channel = i % image.shape.channels;
      output.plane(channel)[i / image.shape.channels] =
          static_cast<float>(image.pixels[i]) / 255.0F;
    }
    return {};
  }
};

/// Halves values where they are.
class Halving : public PlaneTransform {
 protected:
  ViewGeometry change(Planes image, RandomStream& /*stream*/) const override {
    for (int64_t i = 0; i < image.shape.elements(); ++i) {
      image.data[i] *= 0.5F;
    }
    return {};
  }
};

/// Adds a number to each row of a batch and exchanges left and right in half of them.
class ShiftingBatch : public BatchTransform {
 public:
  void change(const at::Tensor& images, const BatchDraws& draws,
              std::span<ViewGeometry> moved) const override {
    ++calls;
    recorded = recorded || c10::GradMode::is_enabled();
    const int64_t rows = images.size(0);
    const at::Tensor shifts = at::empty({rows, 1, 1, 1}, at::kFloat);
    const at::Tensor turned = at::empty({rows, 1, 1, 1}, at::kBool);
    for (int64_t i = 0; i < rows; ++i) {
      RandomStream& stream = draws.samples[static_cast<size_t>(i)];
      shifts.data_ptr<float>()[i] = static_cast<float>(stream.uniform());
      turned.data_ptr<bool>()[i] = stream.chance(0.5);
      if (turned.data_ptr<bool>()[i]) {
        moved[static_cast<size_t>(i)] = flipped(static_cast<double>(images.size(3)));
      }
    }
    images.add_(shifts);
    images.copy_(at::where(turned, images.flip({3}), images));
  }

  static inline std::atomic<int> calls = 0;
  static inline std::atomic<bool> recorded = false;
};

/// Changes a batch by a function.
class AnyBatch : public BatchTransform {
 public:
  explicit AnyBatch(std::function<void(const at::Tensor&)> function)
      : function_(std::move(function)) {}
  void change(const at::Tensor& images, const BatchDraws& /*draws*/,
              std::span<ViewGeometry> /*moved*/) const override {
    function_(images);
  }

 private:
  std::function<void(const at::Tensor&)> function_;
};

/// Says that it takes batches, but makes planes of pixels.
class PlanesOfBatches : public ToUnitPlanes, public BatchViews {
 public:
  void* capability(std::string_view id) override { return provide<BatchViews>(*this, id); }
  void change(const at::Tensor& /*images*/, const BatchDraws& /*draws*/,
              std::span<ViewGeometry> /*moved*/) const override {}
};

/// A component that makes such transforms; named in line `line`.
template <class Made, class... Arguments>
ComponentChoice component_of(const std::string& name, int line, Arguments... arguments) {
  auto component = std::make_shared<RegisteredComponent>();
  component->info.kind = ComponentKind::transform;
  component->info.text.name = name;
  component->info.create = [=](const ParameterValues&, const void*) {
    return std::static_pointer_cast<void>(
        std::static_pointer_cast<Transform>(std::make_shared<Made>(arguments...)));
  };
  component->library.path = "/lib/batches.so";
  return {std::move(component), {}, fmt::format("p.toml:{}:1", line)};
}

using Steps = std::vector<ComponentChoice>;

/// Two steps of single views, then one of batches, twice.
Steps steps_of_batches() {
  return {component_of<ToUnitPlanes>("to-planes", 1), component_of<Halving>("halve", 2),
          component_of<ShiftingBatch>("shift-batch", 3),
          component_of<ShiftingBatch>("shift-batch", 4)};
}

ViewGroup group_of(int64_t count, Steps steps) {
  AugmentChoice chain;
  chain.is_chain = true;
  chain.steps = std::move(steps);
  return {count, chain};
}

BatchSource source_of_chain(std::shared_ptr<const Augmentation> augmentation,
                            const BatchOptions& options) {
  return {std::make_shared<const DataView>(std::make_shared<ImagesWithMasks>(), SelectionOptions{}),
          std::move(augmentation), "augment (p.toml:1:1)", options};
}

BatchOptions in_order(int64_t views) {
  return {.batch = 4,
          .views = views,
          .order = Order::sequential,
          .seed = 5,
          .purpose = "test",
          .geometry = true};
}

/// A view of a sample in epoch 0, as it is made of a single image.
struct SingleView {
  std::vector<float> values = std::vector<float>(image_of_batches.elements());
  ViewGeometry geometry;
};

SingleView single_view(const Augmentation& augmentation, int64_t sample, int64_t view) {
  SingleView made;
  RandomStream stream(5, "test/views", 0, static_cast<uint64_t>(sample),
                      static_cast<uint64_t>(view));
  const Sample read = ImagesWithMasks().get(sample);
  // The dataset is gone, but not the pixels, which the image owns.
  made.geometry = augmentation.apply(read.image, view, stream, made.values);
  return made;
}

/// Compares to the bit; returns how many of the views are turned.
int expect_as_single_views(const BatchSource& source, const Augmentation& augmentation,
                           int64_t number) {
  int turned = 0;
  const Batch batch = source.make(number);
  for (size_t view = 0; view < batch.views.size(); ++view) {
    for (int64_t row = 0; row < batch.views[view].size(0); ++row) {
      const int64_t sample = batch.indices[row].item<int64_t>();
      const SingleView expected = single_view(augmentation, sample, static_cast<int64_t>(view));
      const at::Tensor made = batch.views[view][row].contiguous();
      const float* begin = made.data_ptr<float>();
      EXPECT_EQ(std::vector<float>(begin, begin + made.numel()), expected.values)
          << "view " << view << " of sample " << sample;
      EXPECT_EQ(test::geometry_of(batch, view, row), expected.geometry);
      turned += expected.geometry.xx < 0 ? 1 : 0;
    }
  }
  return turned;
}

TEST(BatchTransforms, GiveBatchesWhatTheyGiveSingleViews) {
  const auto chain = make_chain(steps_of_batches());
  EXPECT_TRUE(chain->has_tail(0));
  const BatchSource source = source_of_chain(chain, in_order(3));
  const int turned =
      expect_as_single_views(source, *chain, 0) + expect_as_single_views(source, *chain, 1);
  EXPECT_GT(turned, 0);
  EXPECT_LT(turned, 21);
  BatchOptions shuffled = in_order(2);
  shuffled.order = Order::shuffled;
  expect_as_single_views(source_of_chain(chain, shuffled), *chain, 0);
}

TEST(BatchTransforms, AreCalledOnceForAViewOfABatchAndRecordNoGradients) {
  const BatchSource source = source_of_chain(make_chain(steps_of_batches()), in_order(3));
  ShiftingBatch::calls = 0;
  ShiftingBatch::recorded = false;
  const Batch batch = source.make(0);
  EXPECT_EQ(ShiftingBatch::calls, 3 * 2);
  EXPECT_FALSE(ShiftingBatch::recorded);
  EXPECT_TRUE(c10::GradMode::is_enabled());
  EXPECT_FALSE(batch.views[0].requires_grad());
  EXPECT_EQ(joined(batch.views).data_ptr(), batch.views[0].data_ptr())
      << "views of one shape lie in one buffer";
}

TEST(BatchTransforms, OfAGroupLeaveTheViewsOfOthersAlone) {
  ViewsChoice choice{.groups = {group_of(1, steps_of_batches()),
                                group_of(1, {component_of<ToUnitPlanes>("to-planes", 1)})},
                     .declares_number = true,
                     .origin = "p.toml:1:1"};
  const auto views = make_augmentation(choice);
  const BatchSource source = source_of_chain(views, in_order(2));
  ShiftingBatch::calls = 0;
  source.make(1);
  EXPECT_EQ(ShiftingBatch::calls, 2);
  expect_as_single_views(source, *views, 0);
}

TEST(BatchTransforms, MoveTheMasks) {
  const BatchSource source =
      source_of_chain(make_chain({component_of<ToUnitPlanes>("to-planes", 1),
                                  component_of<ShiftingBatch>("shift-batch", 2)}),
                      in_order(1));
  const Batch batch = source.make(0);
  bool some_turned = false;
  bool all_turned = true;
  for (int64_t row = 0; row < 4; ++row) {
    const bool turned = test::geometry_of(batch, 0, row).xx < 0;
    const at::Tensor mask = batch.targets.dense[row].contiguous();
    const int64_t* begin = mask.data_ptr<int64_t>();
    const std::vector<int64_t> straight = {0, 1, 0, 255, 1, 1, 1, 1};
    const std::vector<int64_t> other = {255, 0, 1, 0, 1, 1, 1, 1};
    EXPECT_EQ(std::vector<int64_t>(begin, begin + 8), turned ? other : straight) << row;
    some_turned = some_turned || turned;
    all_turned = all_turned && turned;
  }
  EXPECT_TRUE(some_turned && !all_turned) << "one of the two is not tried: take another seed";
}

TEST(BatchTransforms, GiveTheSameToAnyNumberOfLoadingThreads) {
  BatchOptions options = in_order(2);
  options.order = Order::shuffled;
  const std::shared_ptr<const BatchSource> source(
      new BatchSource(source_of_chain(make_chain(steps_of_batches()), options)));
  Prefetcher loader(source, 2, 12, 3);
  for (int64_t number = 2; number < 12; ++number) {
    const Batch made = loader.next();
    const Batch again = source->make(number);
    EXPECT_TRUE(test::equal(made.views, again.views)) << number;
    EXPECT_TRUE(made.targets.dense.equal(again.targets.dense)) << number;
  }
}

TEST(BatchTransforms, AreTheLastOfTheirChain) {
  const Steps steps = {component_of<ToUnitPlanes>("to-planes", 1),
                       component_of<ShiftingBatch>("shift-batch", 2),
                       component_of<Halving>("halve", 3)};
  EXPECT_EQ(error_of([&] { make_chain(steps); }),
            "transform shift-batch (library /lib/batches.so, used at p.toml:2:1) changes whole "
            "batches of views, but transform halve (library /lib/batches.so, used at p.toml:3:1) "
            "behind it single ones: put those of whole batches at the end of the chain");
}

/// The text of the Error of a run that fails.
std::string failure_of(const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::run);
    return error.what();
  }
  return "no error";
}

TEST(BatchTransforms, MustWorkInPlace) {
  const std::string said =
      failure_of([] { make_chain({component_of<PlanesOfBatches>("odd", 1)}); });
  EXPECT_NE(said.find("transform odd (library /lib/batches.so, used at p.toml:1:1) has the ability "
                      "bissl.transform.batch/1, but does not change float planes where they are"),
            std::string::npos)
      << said;
}

TEST(BatchTransforms, KeepTheBatchWhereItIs) {
  const auto said = [](const std::function<void(const at::Tensor&)>& function) {
    const BatchSource source =
        source_of_chain(make_chain({component_of<ToUnitPlanes>("to-planes", 1),
                                    component_of<AnyBatch>("any", 2, function)}),
                        in_order(1));
    return failure_of([&] { source.make(0); });
  };
  EXPECT_EQ(said([](const at::Tensor& images) { images.mul_(2); }), "no error");
  for (const auto& wrong : std::vector<std::function<void(const at::Tensor&)>>{
           [](const at::Tensor& images) { images.transpose_(2, 3); },
           [](const at::Tensor& images) { images.unsqueeze_(0); },
           [](const at::Tensor& images) { images.set_data(images.clone()); }}) {
    const std::string text = said(wrong);
    EXPECT_NE(
        text.find("transform any (library /lib/batches.so, used at p.toml:2:1), in change: it "
                  "gives the batch of [4, 2, 2, 4] another shape, type or memory"),
        std::string::npos)
        << text;
  }
}

}  // namespace
}  // namespace bissl::host
