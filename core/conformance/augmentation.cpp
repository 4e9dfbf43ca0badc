#include "bissl/augmentation.h"

#include "bissl/error.h"
#include "conformance/checker.h"
#include "conformance/samples.h"

#include <cmath>
#include <limits>

namespace bissl {
namespace {

struct Picture {
  ImageShape shape;
  std::vector<uint8_t> pixels;
  Image image() const { return {shape, pixels.data(), nullptr}; }
};

Picture picture_of(const ImageShape& shape) {
  Picture picture{shape, std::vector<uint8_t>(static_cast<size_t>(shape.elements()))};
  RandomStream stream(5, "conformance/picture");
  for (uint8_t& pixel : picture.pixels) {
    pixel = static_cast<uint8_t>(stream.below(256));
  }
  return picture;
}

RandomStream stream_of(uint64_t sample) { return {7, "conformance/views", 0, sample}; }

/// A view; what was not written stays NaN.
std::vector<float> view_of(const Augmentation& augmentation, const Picture& picture, int64_t view,
                           uint64_t sample) {
  const ImageShape shape = augmentation.view_shape(picture.shape);
  std::vector<float> output(static_cast<size_t>(shape.elements()),
                            std::numeric_limits<float>::quiet_NaN());
  RandomStream stream = stream_of(sample);
  augmentation.apply(picture.image(), view, stream, output);
  return output;
}

/// The shapes that the augmentation accepts. One that is refused must be so as wrong input.
std::vector<Picture> accepted_pictures(const Augmentation& augmentation) {
  std::vector<Picture> accepted;
  std::string refusal;
  for (const ImageShape& shape : image_shapes()) {
    try {
      augmentation.view_shape(shape);
      accepted.push_back(picture_of(shape));
    } catch (const Error& error) {
      refusal = error.what();
    }
  }
  require(!accepted.empty(), "no image is accepted; the last refusal: {}", refusal);
  return accepted;
}

constexpr uint64_t repeats = 20;

void check_threads(const Augmentation& augmentation, const Picture& picture) {
  std::vector<std::vector<float>> expected;
  for (uint64_t sample = 0; sample < repeats; ++sample) {
    expected.push_back(view_of(augmentation, picture, 0, sample));
  }
  require_in_threads([&](size_t thread) -> std::string {
    for (uint64_t i = 0; i < repeats; ++i) {
      const uint64_t sample = (i + thread * 5) % repeats;
      if (view_of(augmentation, picture, 0, sample) != expected[sample]) {
        return fmt::format("a view of sample {} came out different", sample);
      }
    }
    return "";
  });
}

}  // namespace

void check_augmentation(Checker& checker) {
  std::shared_ptr<Augmentation> augmentation;
  std::vector<Picture> pictures;
  if (!checker.check("accepts images, and refuses others as wrong input", [&] {
        augmentation = checker.make<Augmentation>();
        pictures = accepted_pictures(*augmentation);
      })) {
    return;
  }
  checker.check("views have the shape that is announced, all of it written and finite", [&] {
    for (const Picture& picture : pictures) {
      const ImageShape shape = augmentation->view_shape(picture.shape);
      require(shape.channels > 0 && shape.height > 0 && shape.width > 0,
              "views of {}x{}x{} of images of {}x{}x{}", shape.channels, shape.height, shape.width,
              picture.shape.channels, picture.shape.height, picture.shape.width);
      for (uint64_t sample = 0; sample < repeats; ++sample) {
        const std::vector<float> output = view_of(*augmentation, picture, sample % 2, sample);
        for (size_t i = 0; i < output.size(); ++i) {
          require(std::isfinite(output[i]), "element {} of a view is {}, or was not written", i,
                  output[i]);
          require(std::abs(output[i]) < 100,
                  "element {} of a view is {}: networks want inputs near "
                  "−1 … 1",
                  i, output[i]);
        }
      }
    }
  });
  checker.check("the same image, stream and view give the same result, in each instance", [&] {
    const auto second = checker.make<Augmentation>();
    for (uint64_t sample = 0; sample < repeats; ++sample) {
      const std::vector<float> first = view_of(*augmentation, pictures[0], 1, sample);
      require(view_of(*augmentation, pictures[0], 1, sample) == first,
              "a second call with the same stream differs");
      require(view_of(*second, pictures[0], 1, sample) == first, "a second instance differs");
    }
  });
  checker.check("the image stays as it is", [&] {
    for (const Picture& picture : pictures) {
      const Picture before = picture;
      for (uint64_t sample = 0; sample < repeats; ++sample) {
        view_of(*augmentation, picture, 0, sample);
      }
      require(picture.pixels == before.pixels, "apply() wrote into the image");
    }
  });
  checker.check("several threads work at once", [&] { check_threads(*augmentation, pictures[0]); });
}

}  // namespace bissl
