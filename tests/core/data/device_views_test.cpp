// Views that are made from plans, as a device makes them, beside those of apply(). The device here
// is the processor; device_test has another one, tests/gpu a GPU.

#include "data/device_views.h"

#include "bissl/error.h"
#include "bissl/transform.h"
#include "data/planned_views.h"
#include "data/view_maker.h"
#include "fake_data.h"
#include "plugins/registry.h"
#include "support/paths.h"

#include <ATen/ops/full.h>

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace bissl::host {
namespace {

using Reals = std::vector<double>;

/// Between views from plans and those of apply(), whose values lie between -3 and 3.
constexpr double planned_tolerance = 1e-3;

const Registry& registry_of_views() {
  static const Registry* const loaded = [] {
    auto* registry = new Registry;
    registry->load_library(std::string(test::plugin_folder) + "/image-augmentations.so", true);
    return registry;
  }();
  return *loaded;
}

ComponentChoice view_component(ComponentKind kind, const std::string& name,
                               const ParameterValues& changes) {
  const auto component = registry_of_views().find(kind, name);
  ComponentChoice made{component, defaults(component->info.parameters), "p.toml:1:1"};
  for (const auto& [parameter, value] : changes) {
    made.values[parameter] = value;
  }
  return made;
}

ComponentChoice planned_step(const std::string& name, const ParameterValues& changes = {}) {
  return view_component(ComponentKind::transform, name, changes);
}

ViewGroup recipe_group(int64_t count, const std::string& name, const ParameterValues& changes) {
  return {count, {{view_component(ComponentKind::augmentation, name, changes)}, false}};
}

ViewGroup chain_group(int64_t count, std::vector<ComponentChoice> steps) {
  return {count, {std::move(steps), true}};
}

ViewsChoice choice_of(std::vector<ViewGroup> groups) {
  return {.groups = std::move(groups), .declares_number = true, .origin = "p.toml:1:1"};
}

/// An image of noise over a slope, of 8 or 16 bits.
Image noisy_image(const ImageShape& shape, uint64_t number, PixelType type = PixelType::uint8) {
  const int64_t bytes = type == PixelType::uint16 ? 2 : 1;
  auto pixels = std::make_shared<std::vector<uint16_t>>(
      static_cast<size_t>((shape.elements() * bytes + 1) / 2));
  RandomStream noise(7, "test image", 0, number);
  auto* const small = reinterpret_cast<uint8_t*>(pixels->data());
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const auto slope = static_cast<uint64_t>(128 * i / shape.elements());
    const uint64_t value = slope + noise.below(128);
    if (type == PixelType::uint16) {
      (*pixels)[static_cast<size_t>(i)] = static_cast<uint16_t>(257 * value);
    } else {
      small[i] = static_cast<uint8_t>(value);
    }
  }
  return {shape, small, std::move(pixels), type};
}

/// Plans the views of an image, in row `number`; the streams of apply() are the same.
PlannedRow row_of_plans(const PlannedAugmentation& augmentation, const Image& image, int64_t views,
                        uint64_t seed, uint64_t number) {
  PlannedRow row{.image = image, .views = {}, .geometry = {}};
  for (int64_t view = 0; view < views; ++view) {
    RandomStream stream(seed, "planned", 0, number, static_cast<uint64_t>(view));
    PlannedView planned(image.shape);
    row.geometry.push_back(augmentation.plan(image, view, stream, planned));
    row.views.push_back(std::move(planned));
  }
  return row;
}

/// Makes all views in both ways. Returns the largest difference of values.
double difference_from_apply(const ViewsChoice& choice, int64_t views,
                             const std::vector<Image>& images, uint64_t seed) {
  const auto augmentation = make_augmentation(choice);
  const auto* planned = dynamic_cast<const PlannedAugmentation*>(augmentation.get());
  if (planned == nullptr || !planned->obstacle(0).empty()) {
    ADD_FAILURE() << "not planned";
    return 1;
  }
  std::vector<PlannedRow> rows;
  for (const Image& image : images) {
    rows.push_back(row_of_plans(*planned, image, views, seed, rows.size()));
  }
  Views made;
  for (int64_t view = 0; view < views; ++view) {
    const ImageShape shape = augmentation->view_shape(images.front().shape, view);
    made.push_back(
        at::full({static_cast<int64_t>(images.size()), shape.channels, shape.height, shape.width},
                 std::numeric_limits<float>::quiet_NaN(), at::TensorOptions(at::kFloat)));
  }
  make_views(rows, made);
  double largest = 0;
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t view = 0; view < made.size(); ++view) {
      const auto number = static_cast<int64_t>(view);
      std::vector<float> expected(static_cast<size_t>(made[view][0].numel()));
      RandomStream stream(seed, "planned", 0, row, view);
      EXPECT_EQ(augmentation->apply(images[row], number, stream, expected),
                rows[row].geometry[view]);
      const at::Tensor found = made[view][static_cast<int64_t>(row)].contiguous();
      const float* values = found.data_ptr<float>();
      for (size_t i = 0; i < expected.size(); ++i) {
        const double apart = std::abs(static_cast<double>(values[i] - expected[i]));
        largest = std::isfinite(apart) ? std::max(largest, apart) : 1000;
      }
    }
  }
  return largest;
}

std::vector<Image> images_of_sizes(int64_t channels, PixelType type = PixelType::uint8) {
  std::vector<Image> images;
  for (int repeat = 0; repeat < 3; ++repeat) {
    for (const auto& [height, width] : {std::pair(32, 32), {13, 40}, {70, 45}, {20, 20}, {33, 2}}) {
      images.push_back(noisy_image({channels, height, width}, images.size(), type));
    }
  }
  return images;
}

void expect_as_apply(const ViewsChoice& choice, int64_t views) {
  for (const int64_t channels : {1, 3}) {
    for (const uint64_t seed : {1, 2}) {
      EXPECT_LE(difference_from_apply(choice, views, images_of_sizes(channels), seed),
                planned_tolerance)
          << channels << " channels, seed " << seed;
    }
  }
}

/// Every part of the recipe, most of the time.
ParameterValues strong_recipe(int64_t size) {
  return {{"size", size},
          {"jitter_probability", 0.8},
          {"brightness", 0.8},
          {"contrast", 0.8},
          {"saturation", 0.8},
          {"hue", 0.2},
          {"grayscale_probability", 0.3},
          {"blur_probability", 0.7},
          {"solarize_probability", 0.5},
          {"mean", Reals{0.4}},
          {"std", Reals{0.25}}};
}

TEST(DeviceViews, OfSimclrAreThoseOfTheProcessor) {
  expect_as_apply(choice_of({recipe_group(2, "simclr", strong_recipe(20))}), 2);
  ParameterValues without_crop = strong_recipe(31);
  without_crop["crop_probability"] = 0.0;
  expect_as_apply(choice_of({recipe_group(1, "simclr", without_crop)}), 1);
}

/// As in Grill et al. 2020, appendix B: the two views are blurred and solarized differently.
TEST(DeviceViews, OfByolsPairAreThoseOfTheProcessor) {
  ParameterValues first = strong_recipe(24);
  first["blur_probability"] = 1.0;
  first["solarize_probability"] = 0.0;
  ParameterValues second = strong_recipe(24);
  second["blur_probability"] = 0.1;
  second["solarize_probability"] = 0.2;
  expect_as_apply(choice_of({recipe_group(1, "simclr", first), recipe_group(1, "simclr", second)}),
                  2);
}

TEST(DeviceViews, OfMultiCropAreThoseOfTheProcessor) {
  const auto group = [](int64_t count, int64_t size, double smallest, double largest) {
    return chain_group(
        count, {planned_step("resized-crop", {{"size", size}, {"scale", Reals{smallest, largest}}}),
                planned_step("flip"), planned_step("color-jitter"), planned_step("grayscale"),
                planned_step("blur"), planned_step("solarize"), planned_step("normalize")});
  };
  expect_as_apply(choice_of({group(2, 24, 0.4, 1.0), group(3, 10, 0.05, 0.4)}), 5);
}

TEST(DeviceViews, OfOtherRecipesAreThoseOfTheProcessor) {
  const int64_t size = 16;
  expect_as_apply(choice_of({recipe_group(1, "supervised", {{"size", size}})}), 1);
  expect_as_apply(
      choice_of({recipe_group(1, "supervised", {{"size", size}, {"crop", std::string("padded")}})}),
      1);
  expect_as_apply(choice_of({recipe_group(1, "evaluation", {{"size", size}})}), 1);
}

/// Steps in other orders than recipes have them: moves behind changes of values, flips behind
/// moves, a part of a part.
TEST(DeviceViews, OfChainsInAnyOrderAreThoseOfTheProcessor) {
  const ComponentChoice normalize =
      planned_step("normalize", {{"mean", Reals{0.3}}, {"std", Reals{0.3}}});
  expect_as_apply(
      choice_of({chain_group(2, {planned_step("resize", {{"size", int64_t{20}}}),
                                 planned_step("center-crop", {{"size", int64_t{18}}}),
                                 planned_step("center-crop", {{"size", int64_t{15}}}),
                                 planned_step("flip"), planned_step("padded-crop"), normalize})}),
      2);
  expect_as_apply(
      choice_of({chain_group(
          2, {planned_step("resized-crop", {{"size", int64_t{22}}}),
              planned_step("blur", {{"probability", 0.5}}), planned_step("color-jitter"),
              planned_step("padded-crop"), planned_step("flip"), planned_step("color-jitter"),
              normalize, planned_step("blur", {{"kernel_size", int64_t{9}}})})}),
      2);
}

TEST(DeviceViews, OfImagesAsTheyAreHaveTheSameValues) {
  std::vector<Image> images;
  for (uint64_t number = 0; number < 5; ++number) {
    images.push_back(noisy_image({2, 9, 14}, number));
  }
  EXPECT_LE(
      difference_from_apply(choice_of({chain_group(1, {planned_step("to-planes")})}), 1, images, 1),
      1e-6);
}

TEST(DeviceViews, OfSixteenBitsAreThoseOfTheProcessor) {
  std::vector<Image> images = images_of_sizes(3, PixelType::uint16);
  const ViewsChoice choice = choice_of({recipe_group(2, "simclr", strong_recipe(20))});
  EXPECT_LE(difference_from_apply(choice, 2, images, 3), planned_tolerance);
  images.resize(5);
  for (const Image& image : images_of_sizes(3)) {
    images.push_back(image);
  }
  EXPECT_LE(difference_from_apply(choice, 2, images, 4), planned_tolerance) << "both in a batch";
}

/// Their pixels are more than are sent at once.
TEST(DeviceViews, OfLargeImagesAreMadeInParts) {
  std::vector<Image> images;
  for (int64_t number = 0; number < 2; ++number) {
    const ImageShape shape{1, 3000, 2900 + number};
    auto pixels = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < pixels->size(); ++i) {
      (*pixels)[i] = static_cast<uint8_t>(i / 3001 + 40 * static_cast<size_t>(number));
    }
    const uint8_t* data = pixels->data();
    images.push_back({shape, data, std::move(pixels)});
  }
  EXPECT_LE(difference_from_apply(
                choice_of({recipe_group(1, "evaluation", {{"size", int64_t{8}}})}), 1, images, 1),
            planned_tolerance);
}

std::string failure_of_plan(const std::function<void(PlannedView&)>& plan) {
  PlannedView planned({3, 8, 10});
  try {
    plan(planned);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::run);
    return error.what();
  }
  return "no error";
}

TEST(PlannedView, HasOneResamplingAtItsBeginning) {
  EXPECT_EQ(failure_of_plan([](PlannedView& planned) {
              planned.flip_horizontal();
              planned.resized_crop({0, 0, 4, 4}, {3, 8, 8});
            }),
            "resized_crop() of a planned view comes behind another step: plan it first");
  EXPECT_EQ(failure_of_plan([](PlannedView& planned) {
              planned.adjust_brightness(2);
              planned.crop({0, 0, 4, 4});
            }),
            "crop() of a planned view comes behind a change of values or a shift: plan it first");
  EXPECT_EQ(failure_of_plan([](PlannedView& planned) {
              planned.crop({5, 0, 4, 4});
            }),
            "crop() of a planned view takes 4x4 pixels (height, width) from row 5 and column 0 on, "
            "but the view has 8x10");
}

TEST(PlannedView, TakesFlipsFirst) {
  PlannedView planned({1, 8, 10});
  planned.flip_horizontal();
  planned.crop({1, 2, 4, 3});
  EXPECT_EQ(planned.shape(), (ImageShape{1, 4, 3}));
  EXPECT_EQ(planned.horizontal().first, 10 - 2 - 3);
  EXPECT_EQ(planned.vertical().first, 1);
  planned.shift(1, 2);
  planned.adjust_hue(0.1);  // a gray image stays as it is
  EXPECT_TRUE(planned.mirrored());
  planned.flip_horizontal();
  EXPECT_FALSE(planned.mirrored());
  ASSERT_EQ(planned.changes().size(), 1U);
  EXPECT_EQ(planned.changes()[0].numbers, (Reals{1, -2}));
}

/// Has no ability at all.
class UnplannedStep : public PlaneTransform {
 protected:
  ViewGeometry change(Planes /*image*/, RandomStream& /*stream*/) const override { return {}; }
};

TEST(DeviceViews, AreThoseOfTheProcessorWhereAStepCannotBePlanned) {
  const c10::Device device(c10::kCUDA, 0);  // nothing is done there
  const auto obstacle_of = [&](std::vector<ComponentChoice> steps) {
    const auto made = make_augmentation(choice_of({chain_group(2, std::move(steps))}));
    const std::string obstacle = planning_obstacle(*made, 2, device);
    EXPECT_EQ(planned_augmentation(*made, 2, device) == nullptr, !obstacle.empty());
    EXPECT_EQ(planned_augmentation(*made, 2, c10::kCPU), nullptr);
    return obstacle;
  };
  const ComponentChoice planes = planned_step("to-planes");
  EXPECT_EQ(obstacle_of({planes, planned_step("flip")}), "");
  auto component = std::make_shared<RegisteredComponent>();
  component->info.kind = ComponentKind::transform;
  component->info.text.name = "odd";
  component->info.create = [](const ParameterValues&, const void*) {
    return std::static_pointer_cast<void>(
        std::static_pointer_cast<Transform>(std::make_shared<UnplannedStep>()));
  };
  component->library.path = "/lib/odd.so";
  EXPECT_EQ(obstacle_of({planes, {std::move(component), {}, "p.toml:4:1"}}),
            "transform odd (library /lib/odd.so, used at p.toml:4:1)");
  const std::string of_crop = obstacle_of(
      {planes, planned_step("flip"), planned_step("center-crop", {{"size", int64_t{4}}})});
  EXPECT_EQ(of_crop.find("transform center-crop (library "), 0U) << of_crop;
}

TEST(DeviceViews, CanBeSwitchedOff) {
  const c10::Device device(c10::kCUDA, 0);
  const auto made =
      make_augmentation(choice_of({recipe_group(1, "simclr", {{"size", int64_t{8}}})}));
  EXPECT_NE(planned_augmentation(*made, 1, device), nullptr);
  set_views_on_devices(false);
  EXPECT_EQ(planned_augmentation(*made, 1, device), nullptr);
  EXPECT_EQ(planning_obstacle(*made, 1, device), "") << "wanted, so nothing is in the way";
  set_views_on_devices(true);
  const auto fake = guarded(std::make_shared<test::FakeAugmentation>(), test::fake_choice());
  EXPECT_EQ(planned_augmentation(*fake, 1, device), nullptr);
  EXPECT_EQ(planning_obstacle(*fake, 1, device),
            "augmentation blur (library /lib/blurs.so, used at p.toml:3:1)");
}

}  // namespace
}  // namespace bissl::host
