#include "conformance/transform_view.h"

#include "conformance/canvas.h"
#include "conformance/checker.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

using Form = Transform::Form;

/// The image in planes, with values in [0, 1].
void write_planes(const Image& image, float* output) {
  const auto [channels, height, width] = image.shape;
  for (int64_t channel = 0; channel < channels; ++channel) {
    for (int64_t i = 0; i < height * width; ++i) {
      *output++ = static_cast<float>(image.pixels[i * channels + channel]) / 255.0F;
    }
  }
}

/// Memory for 8-bit pixels with a pattern around it that nobody may write.
class GuardedPixels {
 public:
  explicit GuardedPixels(int64_t size)
      : size_(static_cast<size_t>(size)),
        guard_(std::max<size_t>(4096, 2 * size_)),
        memory_(2 * guard_ + size_) {
    for (size_t i = 0; i < memory_.size(); ++i) {
      memory_[i] = pattern(i);
    }
  }
  std::span<uint8_t> room() { return {memory_.data() + guard_, size_}; }
  void require_only_written_within(const ImageShape& input) const {
    for (size_t i = 0; i < memory_.size(); ++i) {
      const bool within = i >= guard_ && i < guard_ + size_;
      require(within || memory_[i] == pattern(i),
              "apply() wrote to byte {} of room for {} bytes, for an input of {}: write within the "
              "span that is given",
              static_cast<int64_t>(i) - static_cast<int64_t>(guard_), size_, to_text(input));
    }
  }

 private:
  static uint8_t pattern(size_t place) { return static_cast<uint8_t>(37 * place + 11); }

  size_t size_;
  size_t guard_;
  std::vector<uint8_t> memory_;
};

class TransformView : public Augmentation {
 public:
  explicit TransformView(std::shared_ptr<const Transform> transform)
      : transform_(std::move(transform)) {}

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    const ImageShape shape = transform_->output_shape(input);
    require(transform_->form() != Form::planes_in_place || shape == input,
            "output_shape() gives {} for {}, but the transform works in place", to_text(shape),
            to_text(input));
    return shape;
  }

  bool takes(PixelType type) const override {
    return type == PixelType::uint8 ||
           (transform_->form() == Form::pixels_to_planes && transform_->takes(type));
  }

  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    const Planes room{view_shape(image.shape, view), output.data()};
    switch (transform_->form()) {
      case Form::pixels: {
        GuardedPixels pixels(room.shape.elements());
        const ViewGeometry geometry =
            transform_->apply({.pixels = image, .planes = {}}, stream, {pixels.room(), {}});
        pixels.require_only_written_within(image.shape);
        write_planes({room.shape, pixels.room().data(), nullptr}, output.data());
        return geometry;
      }
      case Form::pixels_to_planes:
        return transform_->apply({.pixels = image, .planes = {}}, stream, {{}, room});
      case Form::planes_in_place:
        write_planes(image, output.data());
        return transform_->apply({.pixels = {}, .planes = room}, stream, {{}, room});
      case Form::planes:
        break;
    }
    std::vector<float> input(static_cast<size_t>(image.shape.elements()));
    write_planes(image, input.data());
    std::vector<float> given = input;
    const ViewGeometry geometry = transform_->apply(
        {.pixels = {}, .planes = {image.shape, given.data()}}, stream, {{}, room});
    require(given == input, "apply() changes the planes that it is given, of {}; work on a copy",
            to_text(image.shape));
    return geometry;
  }

 private:
  std::shared_ptr<const Transform> transform_;
};

}  // namespace

std::shared_ptr<Augmentation> as_augmentation(std::shared_ptr<const Transform> transform) {
  return std::make_shared<TransformView>(std::move(transform));
}

}  // namespace bissl::host
