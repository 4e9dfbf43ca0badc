#include "data/chain.h"

#include "bissl/error.h"
#include "bissl/image_operations.h"
#include "bissl/transform.h"
#include "data/view_maker.h"
#include "fake_data.h"
#include "plugins/registry.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>

namespace bissl::host {
namespace {

using test::error_of;

/// A transform of this form that calls a function.
class Step : public Transform {
 public:
  using Function = std::function<ViewGeometry(const Input&, RandomStream&, const Output&)>;

  Step(Form form, std::function<ImageShape(const ImageShape&)> shape, Function function)
      : form_(form), shape_(std::move(shape)), function_(std::move(function)) {}
  Form form() const override { return form_; }
  ImageShape output_shape(const ImageShape& input) const override { return shape_(input); }
  ViewGeometry apply(const Input& input, RandomStream& stream,
                     const Output& output) const override {
    return function_(input, stream, output);
  }

 private:
  Form form_;
  std::function<ImageShape(const ImageShape&)> shape_;
  Function function_;
};

ImageShape same(const ImageShape& shape) { return shape; }

/// A component that makes such a step; it stands in line `line`.
ComponentChoice choice(const std::string& name, int line, Transform::Form form,
                       Step::Function function,
                       std::function<ImageShape(const ImageShape&)> shape = same) {
  auto component = std::make_shared<RegisteredComponent>();
  component->info.kind = ComponentKind::transform;
  component->info.text.name = name;
  component->info.create = [=](const ParameterValues&, const void*) {
    return std::static_pointer_cast<void>(
        std::static_pointer_cast<Transform>(std::make_shared<Step>(form, shape, function)));
  };
  component->library.path = "/lib/steps.so";
  return {std::move(component), {}, fmt::format("p.toml:{}:1", line)};
}

ComponentChoice planes_of_pixels(int line = 1) {
  return choice("convert", line, Transform::Form::pixels_to_planes,
                [](const Transform::Input& input, RandomStream&, const Transform::Output& output) {
                  const auto [channels, height, width] = input.pixels.shape;
                  for (int64_t i = 0; i < height * width; ++i) {
                    for (int64_t c = 0; c < channels; ++c) {
                      output.planes.plane(c)[i] = input.pixels.pixels[i * channels + c];
                    }
                  }
                  return ViewGeometry{};
                });
}

/// Doubles 8-bit pixels.
ComponentChoice doubling(int line = 1) {
  return choice("double", line, Transform::Form::pixels,
                [](const Transform::Input& input, RandomStream&, const Transform::Output& output) {
                  for (size_t i = 0; i < output.pixels.size(); ++i) {
                    output.pixels[i] = static_cast<uint8_t>(2 * input.pixels.pixels[i]);
                  }
                  return ViewGeometry{};
                });
}

/// Adds a number to each value where it is.
ComponentChoice adding(float number, int line = 1) {
  return choice("add", line, Transform::Form::planes_in_place,
                [=](const Transform::Input& input, RandomStream&, const Transform::Output&) {
                  for (int64_t i = 0; i < input.planes.shape.elements(); ++i) {
                    input.planes.data[i] += number;
                  }
                  return ViewGeometry{};
                });
}

/// Leaves the first column out.
ComponentChoice narrowing(int line = 1) {
  return choice(
      "narrow", line, Transform::Form::planes,
      [](const Transform::Input& input, RandomStream&, const Transform::Output& output) {
        const Planes& from = input.planes;
        for (int64_t y = 0; y < from.shape.channels * from.shape.height; ++y) {
          std::copy_n(from.data + y * from.shape.width + 1, output.planes.shape.width,
                      output.planes.data + y * output.planes.shape.width);
        }
        return ViewGeometry{.x0 = 1};
      },
      [](const ImageShape& input) {
        if (input.width < 2) {
          fail_input("one column of {} cannot be left out", input.width);
        }
        return ImageShape{input.channels, input.height, input.width - 1};
      });
}

/// Exchanges left and right.
ComponentChoice turning() {
  return choice("turn", 1, Transform::Form::planes_in_place,
                [](const Transform::Input& input, RandomStream&, const Transform::Output&) {
                  flip_horizontal(input.planes);
                  return flipped(static_cast<double>(input.planes.shape.width));
                });
}

/// Writes its first draw to value `place`.
ComponentChoice drawing(const std::string& name, int64_t place) {
  return choice(name, 1, Transform::Form::planes_in_place,
                [=](const Transform::Input& input, RandomStream& stream, const Transform::Output&) {
                  input.planes.data[place] = static_cast<float>(stream.uniform());
                  return ViewGeometry{};
                });
}

// The components that ship, as a pipeline uses them.

const Registry& registry() {
  static const Registry* loaded = [] {
    auto* made = new Registry;
    made->load_library(std::string(test::plugin_folder) + "/image-augmentations.so", true);
    return made;
  }();
  return *loaded;
}

ComponentChoice shipped(const std::string& name, const ParameterValues& changes = {},
                        ComponentKind kind = ComponentKind::transform) {
  const auto component = registry().find(kind, name);
  ComponentChoice made{component, defaults(component->info.parameters), "p.toml:1:1"};
  for (const auto& [parameter, value] : changes) {
    made.values[parameter] = value;
  }
  return made;
}

struct Made {
  ImageShape shape;
  std::vector<float> values;
  ViewGeometry geometry;
};

/// A view of an image of 2 x 4 pixels, 1 … 8.
Made view_of(const std::vector<ComponentChoice>& steps, uint64_t sample = 0) {
  const std::vector<uint8_t> pixels = {1, 2, 3, 4, 5, 6, 7, 8};
  const Image image{{1, 2, 4}, pixels.data(), nullptr};
  const auto made = make_chain(steps);
  Made view;
  view.shape = made->view_shape(image.shape, 0);
  view.values.resize(static_cast<size_t>(view.shape.elements()));
  RandomStream stream(1, "views", 0, sample);
  view.geometry = made->apply(image, 0, stream, view.values);
  return view;
}

using Floats = std::vector<float>;

TEST(Chain, HandsEachStepWhatTheOneBeforeItMade) {
  EXPECT_EQ(view_of({planes_of_pixels()}).values, (Floats{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(view_of({doubling(), doubling(), planes_of_pixels(), adding(0.5F)}).values,
            (Floats{4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5, 32.5}));
  const Made narrow = view_of(
      {planes_of_pixels(), adding(1), narrowing(), adding(1), narrowing(), turning(), adding(1)});
  EXPECT_EQ(narrow.shape, (ImageShape{1, 2, 2}));
  EXPECT_EQ(narrow.values, (Floats{7, 6, 11, 10}));
}

TEST(Chain, TellsWhereTheViewLies) {
  // Two columns go, then left and right are exchanged: the view's left edge is the image's right.
  const Made view = view_of({planes_of_pixels(), narrowing(), narrowing(), turning()});
  EXPECT_EQ(view.geometry(0, 0), (std::array<double, 2>{4, 0}));
  EXPECT_EQ(view.geometry(2, 2), (std::array<double, 2>{2, 2}));
  // Exchanged first: then the columns that go are those on the image's right.
  const Made other = view_of({planes_of_pixels(), turning(), narrowing(), narrowing()});
  EXPECT_EQ(other.geometry(0, 0), (std::array<double, 2>{2, 0}));
  EXPECT_EQ(other.geometry(2, 0), (std::array<double, 2>{0, 0}));
  EXPECT_EQ(other.values, (Floats{2, 1, 6, 5}));
}

TEST(Chain, EachStepDrawsForItself) {
  const auto draws = [](const std::vector<ComponentChoice>& steps, uint64_t sample = 0) {
    std::vector<ComponentChoice> all = {planes_of_pixels()};
    all.insert(all.end(), steps.begin(), steps.end());
    return view_of(all, sample).values;
  };
  const Floats alone = draws({drawing("b", 1)});
  const Floats behind = draws({drawing("a", 0), drawing("b", 1)});
  EXPECT_EQ(behind[1], alone[1]) << "a step before it changes its draws";
  EXPECT_NE(behind[0], behind[1]);
  const Floats twice = draws({drawing("b", 1), drawing("b", 2)});
  EXPECT_EQ(twice[1], alone[1]);
  EXPECT_NE(twice[1], twice[2]) << "two steps of one name draw the same";
  EXPECT_NE(draws({drawing("b", 1)}, 1)[1], alone[1]) << "samples draw the same";
}

TEST(Chain, RefusesStepsThatDoNotFit) {
  EXPECT_EQ(error_of([] {
              make_chain({adding(1, 3), planes_of_pixels(4)});
            }),
            "transform add (library /lib/steps.so, used at p.toml:3:1) takes float planes, but a "
            "chain begins with the pixels of the dataset: put a transform before it that "
            "makes planes, such as resized-crop, resize or to-planes");
  EXPECT_EQ(error_of([] {
              make_chain({doubling(3), narrowing(4)});
            }),
            "transform narrow (library /lib/steps.so, used at p.toml:4:1) takes float planes, but "
            "transform double (library /lib/steps.so, used at p.toml:3:1) before it gives 8-bit "
            "pixels: put a transform between them that makes planes, such as to-planes");
  EXPECT_EQ(error_of([] {
              make_chain({planes_of_pixels(3), doubling(4)});
            }),
            "transform double (library /lib/steps.so, used at p.toml:4:1) takes 8-bit pixels, but "
            "transform convert (library /lib/steps.so, used at p.toml:3:1) before it gives float "
            "planes: put it before the transform that makes planes");
  EXPECT_EQ(error_of([] { make_chain({doubling(3)}); }),
            "transform double (library /lib/steps.so, used at p.toml:3:1) is the last of its chain "
            "and gives 8-bit pixels, but networks take float planes: end with a transform that "
            "makes planes, such as to-planes");
}

TEST(Chain, RefusesValuesThatAStepCannotTake) {
  const auto said = [](const std::vector<std::string>& names) {
    std::vector<ComponentChoice> steps;
    for (const std::string& name : names) {
      steps.push_back(shipped(name));
      steps.back().origin = fmt::format("p.toml:{}:5", steps.size());
    }
    return error_of([&] { make_chain(steps); });
  };
  for (const std::string name : {"color-jitter", "grayscale", "solarize", "normalize"}) {
    const std::string error = said({"to-planes", "normalize", "flip", name});
    EXPECT_EQ(error.find("transform " + name + " (library "), 0U) << error;
    EXPECT_NE(error.find("used at p.toml:4:5) takes values in 0 … 1, but transform normalize"),
              std::string::npos)
        << error;
    EXPECT_NE(error.find("used at p.toml:2:5) before it gives others"), std::string::npos) << error;
    EXPECT_EQ(said({"to-planes", name, "flip"}), "no error") << name;
  }
  for (const std::string name : {"blur", "padded-crop", "flip"}) {
    EXPECT_EQ(said({"to-planes", "normalize", name}), "no error") << name << " takes any values";
  }
}

TEST(Chain, NamesBothStepsWhereSizesDoNotFit) {
  const auto steps = make_chain({planes_of_pixels(3), narrowing(4)});
  EXPECT_EQ(error_of([&] {
              steps->view_shape({1, 5, 1}, 0);
            }),
            "behind transform convert (library /lib/steps.so, used at p.toml:3:1), which gives "
            "1x5x1: transform narrow (library /lib/steps.so, used at p.toml:4:1), in output_shape: "
            "one column of 1 cannot be left out");
}

const nlohmann::json& golden() {
  static const nlohmann::json content = nlohmann::json::parse(test::read_file(
      std::string(test::source_folder) + "/tests/reference/golden/multi_crop.json"));
  return content;
}

/// Two large and three small views, as multi-crop training sees them.
ViewsChoice multi_crop() {
  const auto group = [](int64_t count, int64_t size, double smallest, double largest) {
    AugmentChoice chain;
    chain.is_chain = true;
    chain.steps = {shipped("resized-crop",
                           {{"size", size}, {"scale", std::vector<double>{smallest, largest}}}),
                   shipped("flip"),
                   shipped("normalize", {{"mean", std::vector<double>{0.485, 0.456, 0.406}},
                                         {"std", std::vector<double>{0.229, 0.224, 0.225}}})};
    return ViewGroup{count, chain};
  };
  return {.groups = {group(2, 12, 0.4, 1.0), group(3, 6, 0.05, 0.4)},
          .declares_number = true,
          .origin = "p.toml:1:1"};
}

/// The image of the golden numbers, as a data source of one sample.
class OneImage : public Dataset {
 public:
  OneImage() : pixels_(golden()["pixels"].get<std::vector<uint8_t>>()) {}
  int64_t size() const override { return 1; }
  Sample get(int64_t /*index*/) const override {
    Sample sample;
    sample.image = {{3, golden()["height"], golden()["width"]}, pixels_.data(), nullptr};
    return sample;
  }
  TargetSpec targets() const override { return {}; }
  std::string fingerprint() const override { return "one"; }

 private:
  std::vector<uint8_t> pixels_;
};

TEST(MultiCrop, IsWhatTorchvisionMakes) {
  const BatchSource source(
      std::make_shared<const DataView>(std::make_shared<OneImage>(), SelectionOptions{}),
      make_augmentation(multi_crop()), "views",
      {.batch = 2, .views = 5, .seed = 9, .purpose = "golden", .geometry = true});
  const Batch batch = source.make(0);
  ASSERT_EQ(batch.views.size(), 5U);
  EXPECT_EQ(batch.views[1].sizes(), (std::vector<int64_t>{2, 3, 12, 12}));
  EXPECT_EQ(batch.views[2].sizes(), (std::vector<int64_t>{2, 3, 6, 6}));
  EXPECT_EQ(joined_by_shape(batch.views).size(), 2U);
  for (size_t view = 0; view < 5; ++view) {
    for (size_t sample = 0; sample < 2; ++sample) {
      const nlohmann::json& expected = golden()["views"][2 * view + sample];
      const auto size = static_cast<double>(batch.views[view].size(3));
      // The box that was cut out, and whether left and right are exchanged, as the geometry says.
      const ViewGeometry geometry = test::geometry_of(batch, view, static_cast<int64_t>(sample));
      const double left = std::min(geometry(0, 0)[0], geometry(size, 0)[0]);
      const std::vector<double> box = {geometry(0, 0)[1], left, geometry.yy * size,
                                       std::abs(geometry.xx) * size, geometry.xx < 0 ? 1.0 : 0.0};
      const auto places = expected["box"].get<std::vector<double>>();
      for (size_t i = 0; i < box.size(); ++i) {
        EXPECT_NEAR(box[i], places[i], 1e-5) << view << " " << sample << " " << i;
      }
      const at::Tensor made = batch.views[view][static_cast<int64_t>(sample)].contiguous();
      const auto values = expected["values"].get<std::vector<float>>();
      ASSERT_EQ(made.numel(), static_cast<int64_t>(values.size()));
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_NEAR(made.data_ptr<float>()[i], values[i], 2e-6)
            << view << " " << sample << " " << i;
      }
    }
  }
}

TEST(MultiCrop, GroupsAreOfTheirOwn) {
  const auto views = make_augmentation(multi_crop());
  const ImageShape image{3, 20, 30};
  EXPECT_EQ(views->view_shape(image, 1), (ImageShape{3, 12, 12}));
  EXPECT_EQ(views->view_shape(image, 2), (ImageShape{3, 6, 6}));
  EXPECT_EQ(views->view_shape(image, 7), (ImageShape{3, 6, 6}));
  ViewsChoice pair = multi_crop();
  pair.groups = {
      {1, {{shipped("simclr", {{"size", int64_t{8}}}, ComponentKind::augmentation)}, false}},
      {1, {{shipped("evaluation", {}, ComponentKind::augmentation)}, false}}};
  EXPECT_EQ(make_augmentation(pair)->view_shape(image, 0), (ImageShape{3, 8, 8}));
  EXPECT_EQ(make_augmentation(pair)->view_shape(image, 1), image);
}

TEST(MultiCrop, NamesTheShippedTransformThatDoesNotFit) {
  ViewsChoice wrong = multi_crop();
  std::swap(wrong.groups[1].augment.steps[0], wrong.groups[1].augment.steps[1]);
  const std::string said = error_of([&] { make_augmentation(wrong); });
  EXPECT_EQ(said.find("transform flip (library "), 0U) << said;
  EXPECT_NE(said.find("takes float planes, but a chain begins with the pixels"), std::string::npos)
      << said;
}

}  // namespace
}  // namespace bissl::host
