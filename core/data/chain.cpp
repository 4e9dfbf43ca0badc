#include "data/chain.h"

#include "bissl/batch_transform.h"
#include "bissl/error.h"
#include "bissl/planned_view.h"
#include "bissl/transform.h"
#include "bissl/transform_abilities.h"
#include "data/planned_views.h"
#include "plugins/guard.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace bissl::host {
namespace {

using Form = Transform::Form;

std::string shape_text(const ImageShape& shape) {
  return fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

class GuardedPlaneValues final : public GuardedAbility<PlaneValues> {
 public:
  using GuardedAbility::GuardedAbility;

  bool takes_unit_values() const override {
    return call("takes_unit_values", [](const auto& inner) { return inner.takes_unit_values(); });
  }
  bool leaves_unit_values() const override {
    return call("leaves_unit_values", [](const auto& inner) { return inner.leaves_unit_values(); });
  }
};

class GuardedBatchViews final : public GuardedAbility<BatchViews> {
 public:
  using GuardedAbility::GuardedAbility;

  void change(const at::Tensor& images, const BatchDraws& draws,
              std::span<ViewGeometry> moved) const override {
    call("change", [&](const auto& inner) {
      // The same memory, but a shape of its own, which the component might change.
      const at::Tensor given = images.view(images.sizes());
      inner.change(given, draws, moved);
      if (given.data_ptr() != images.data_ptr() || given.sizes() != images.sizes() ||
          given.strides() != images.strides() || given.scalar_type() != images.scalar_type()) {
        fail_run(
            "it gives the batch of [{}] another shape, type or memory, now [{}]: write into the "
            "memory that is there, as copy_() does",
            fmt::join(images.sizes(), ", "), fmt::join(given.sizes(), ", "));
      }
    });
  }
};

class GuardedPlannedStep final : public GuardedAbility<PlannedStep> {
 public:
  using GuardedAbility::GuardedAbility;

  ViewGeometry plan(RandomStream& stream, PlannedView& planned) const override {
    return call("plan", [&](const auto& inner) { return inner.plan(stream, planned); });
  }
};

class GuardedTransform
    : public Guarded<Transform, GuardedPlaneValues, GuardedBatchViews, GuardedPlannedStep> {
 public:
  using Guarded::Guarded;

  Form form() const override {
    return call("form", [](const Transform& inner) { return inner.form(); });
  }
  ImageShape output_shape(const ImageShape& input) const override {
    return call("output_shape", [&](const Transform& inner) {
      const ImageShape shape = inner.output_shape(input);
      if (shape.channels < 1 || shape.height < 1 || shape.width < 1) {
        fail_run("it makes {} of {}; expected at least one value", shape_text(shape),
                 shape_text(input));
      }
      if (inner.form() == Form::planes_in_place && shape != input) {
        fail_run("it works in place, but makes {} of {}", shape_text(shape), shape_text(input));
      }
      return shape;
    });
  }
  bool takes(PixelType type) const override {
    return call("takes", [&](const Transform& inner) { return inner.takes(type); });
  }
  ViewGeometry apply(const Input& input, RandomStream& stream,
                     const Output& output) const override {
    return call("apply",
                [&](const Transform& inner) { return inner.apply(input, stream, output); });
  }
};

struct Step {
  ComponentChoice choice;
  std::shared_ptr<const GuardedTransform> transform;
  Form form = Form::pixels;
  const BatchViews* batches = nullptr;   ///< of a step that works on whole batches; in `transform`
  const PlannedStep* planned = nullptr;  ///< of a step that can be planned; in `transform`
  bool takes_unit_values = false;
  bool leaves_unit_values = false;
  std::string stream;
};

/// `number`: how many steps of this name are before it.
Step make_step(const ComponentChoice& choice, int number) {
  Step step;
  step.choice = choice;
  const auto transform = make_guard<GuardedTransform, Transform>(choice, TransformContext{});
  step.transform = transform;
  step.form = transform->form();
  step.batches = bissl::capability<BatchViews>(*transform);
  if (step.batches != nullptr && step.form != Form::planes_in_place) {
    fail_run("{} has the ability {}, but does not change float planes where they are",
             choice.describe(), BatchViews::id);
  }
  step.planned = bissl::capability<PlannedStep>(*transform);
  if (const auto* values = bissl::capability<PlaneValues>(*transform)) {
    step.takes_unit_values = values->takes_unit_values();
    step.leaves_unit_values = values->leaves_unit_values();
  }
  const std::string& name = choice.component->info.text.name;
  step.stream = number == 0 ? name : fmt::format("{}#{}", name, number);
  return step;
}

bool gives_planes(Form form) { return form != Form::pixels; }
bool takes_planes(Form form) { return form == Form::planes || form == Form::planes_in_place; }

/// Memory for what lies between two steps; each thread has its own.
struct Scratch {
  std::array<std::vector<uint8_t>, 2> pixels;
  std::array<std::vector<float>, 2> planes;
};

class Chain : public AugmentationWithTail, public PlannedAugmentation {
 public:
  Chain(const std::vector<ComponentChoice>& steps, std::function<void(size_t)> after_step)
      : after_step_(std::move(after_step)) {
    std::map<std::string, int> seen;
    for (const ComponentChoice& choice : steps) {
      steps_.push_back(make_step(choice, seen[choice.component->info.text.name]++));
      if (steps_.back().form != Form::planes_in_place) {
        last_write_ = steps_.size() - 1;
      }
    }
    require_fit();
    require_values();
    const auto tail = std::find_if(steps_.begin(), steps_.end(),
                                   [](const Step& step) { return step.batches != nullptr; });
    tail_ = static_cast<size_t>(tail - steps_.begin());
    obstacle_ = find_obstacle();
  }

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    ImageShape shape = input;
    for (size_t i = 0; i < steps_.size(); ++i) {
      shape = shape_after(i, shape);
    }
    return shape;
  }

  bool takes(PixelType type) const override { return steps_.front().transform->takes(type); }

  ViewGeometry apply(const Image& image, int64_t /*view*/, RandomStream& stream,
                     std::span<float> output) const override {
    return apply_first(steps_.size(), image, stream, output);
  }

  bool has_tail(int64_t /*view*/) const override { return tail_ < steps_.size(); }

  ViewGeometry apply_head(const Image& image, int64_t /*view*/, RandomStream& stream,
                          std::span<float> output) const override {
    return apply_first(tail_, image, stream, output);
  }

  void apply_tail(const at::Tensor& images, int64_t /*view*/, std::span<const RandomStream> streams,
                  std::span<ViewGeometry> geometry) const override {
    for (size_t i = tail_; i < steps_.size(); ++i) {
      std::vector<RandomStream> own;
      own.reserve(streams.size());
      for (const RandomStream& stream : streams) {
        own.push_back(stream.part(steps_[i].stream));
      }
      std::vector<ViewGeometry> moved(streams.size());
      steps_[i].batches->change(images, {.samples = own}, moved);
      std::transform(
          geometry.begin(), geometry.end(), moved.begin(), geometry.begin(),
          [](const ViewGeometry& outer, const ViewGeometry& inner) { return outer * inner; });
    }
  }

  std::string obstacle(int64_t /*view*/) const override { return obstacle_; }

  ViewGeometry plan(const Image& image, int64_t /*view*/, RandomStream& stream,
                    PlannedView& planned) const override {
    if (image.type != PixelType::uint8) {
      require_takes(steps_.front(), image.type);
    }
    ViewGeometry geometry;
    for (size_t i = 0; i < tail_; ++i) {
      shape_after(i, planned.shape());  // refuses what apply() refuses
      RandomStream own = stream.part(steps_[i].stream);
      geometry = geometry * steps_[i].planned->plan(own, planned);
    }
    return geometry;
  }

 private:
  /// Makes a view by the first `count` steps, at least all those that are not of the tail.
  ViewGeometry apply_first(size_t count, const Image& image, RandomStream& stream,
                           std::span<float> output) const {
    thread_local Scratch scratch;
    Transform::Input input{.pixels = image, .planes = {}};
    ImageShape shape = image.shape;
    ViewGeometry geometry;
    size_t free = 0;
    for (size_t i = 0; i < count; ++i) {
      const Step& step = steps_[i];
      if (i == 0 && image.type != PixelType::uint8) {
        require_takes(step, image.type);
      }
      shape = shape_after(i, shape);
      const auto elements = static_cast<size_t>(shape.elements());
      Transform::Output room{.pixels = {}, .planes = input.planes};
      if (step.form == Form::pixels) {
        scratch.pixels[free].resize(elements);
        room.pixels = scratch.pixels[free];
      } else if (step.form != Form::planes_in_place && i != last_write_) {
        scratch.planes[free].resize(elements);
        room.planes = {shape, scratch.planes[free].data()};
      } else if (step.form != Form::planes_in_place) {
        require_room(step.choice, shape, output);
        room.planes = {shape, output.data()};
      }
      free = step.form == Form::planes_in_place ? free : 1 - free;
      RandomStream own = stream.part(step.stream);
      geometry = geometry * step.transform->apply(input, own, room);
      if (after_step_) {
        after_step_(i);
      }
      input = {.pixels = {shape, room.pixels.data(), nullptr}, .planes = room.planes};
    }
    return geometry;
  }

  /// The first step that keeps the head from being planned.
  std::string find_obstacle() const {
    for (size_t i = 0; i < tail_; ++i) {
      const Step& step = steps_[i];
      const bool in_its_place =
          step.form != Form::planes || steps_[i - 1].form != Form::planes_in_place;
      if (step.planned == nullptr || step.form == Form::pixels || !in_its_place) {
        return step.choice.describe();
      }
    }
    return "";
  }

  void require_fit() const {
    const Step& first = steps_.front();
    if (takes_planes(first.form)) {
      fail_input(
          "{} takes {}, but a chain begins with the {} of the dataset: put a transform before it "
          "that makes planes, such as resized-crop, resize or to-planes",
          first.choice.describe(), taken_by(first.form), taken_by(Form::pixels_to_planes));
    }
    for (size_t i = 1; i < steps_.size(); ++i) {
      const Step& before = steps_[i - 1];
      const Step& step = steps_[i];
      if (takes_planes(step.form) != gives_planes(before.form)) {
        fail_input("{} takes {}, but {} before it gives {}: {}", step.choice.describe(),
                   taken_by(step.form), before.choice.describe(), given_by(before.form),
                   takes_planes(step.form)
                       ? "put a transform between them that makes planes, such as to-planes"
                       : "put it before the transform that makes planes");
      }
      if (before.batches != nullptr && step.batches == nullptr) {
        fail_input(
            "{} changes whole batches of views, but {} behind it single ones: put those of whole "
            "batches at the end of the chain",
            before.choice.describe(), step.choice.describe());
      }
    }
    const Step& last = steps_.back();
    if (!gives_planes(last.form)) {
      fail_input(
          "{} is the last of its chain and gives {}, but networks take {}: end with a transform "
          "that makes planes, such as to-planes",
          last.choice.describe(), given_by(last.form), given_by(Form::planes));
    }
  }

  /// Planes begin with values in 0 … 1; some steps count on them, and some leave them.
  void require_values() const {
    const Step* left = nullptr;
    for (const Step& step : steps_) {
      if (left != nullptr && step.takes_unit_values) {
        fail_input(
            "{} takes values in 0 … 1, but {} before it gives others: put it before that one",
            step.choice.describe(), left->choice.describe());
      }
      if (left == nullptr && step.leaves_unit_values) {
        left = &step;
      }
    }
  }

  /// The shape that step `number` makes of an input. Where it refuses one that another step has
  /// made, the error names both.
  ImageShape shape_after(size_t number, const ImageShape& input) const {
    const Step& step = steps_[number];
    try {
      return step.transform->output_shape(input);
    } catch (const Error& error) {
      if (number == 0) {
        throw;
      }
      throw error.at(fmt::format("behind {}, which gives {}", steps_[number - 1].choice.describe(),
                                 shape_text(input)));
    }
  }

  static void require_takes(const Step& step, PixelType type) {
    if (!step.transform->takes(type)) {
      fail_input(
          "{} takes 8-bit pixels, but the images have samples of 16 bits: begin the chain with a "
          "transform that makes planes of them, such as to-planes",
          step.choice.describe());
    }
  }

  static void require_room(const ComponentChoice& choice, const ImageShape& shape,
                           std::span<float> output) {
    if (static_cast<int64_t>(output.size()) != shape.elements()) {
      fail_run("{}: room for a view of {} needs {} floats, but there are {}", choice.describe(),
               shape_text(shape), shape.elements(), output.size());
    }
  }

  std::function<void(size_t)> after_step_;
  std::vector<Step> steps_;
  std::string obstacle_;   ///< what keeps the head from being planned
  size_t last_write_ = 0;  ///< the last step that writes into memory other than its input's
  size_t tail_ = 0;        ///< the first step that works on whole batches; behind the last for none
};

}  // namespace

std::shared_ptr<const AugmentationWithTail> make_chain(const std::vector<ComponentChoice>& steps,
                                                       std::function<void(size_t)> after_step) {
  return std::make_shared<Chain>(steps, std::move(after_step));
}

}  // namespace bissl::host
