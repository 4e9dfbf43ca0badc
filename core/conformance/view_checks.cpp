#include "conformance/view_checks.h"

#include "bissl/error.h"
#include "bissl/transform.h"
#include "conformance/samples.h"
#include "conformance/transform_view.h"

#include <cstring>

namespace bissl::host {

std::vector<ImageShape> shapes_of_pictures() {
  std::vector<ImageShape> shapes = image_shapes();
  for (const int64_t channels : {1, 3}) {
    for (const auto& [height, width] : std::initializer_list<std::pair<int64_t, int64_t>>{{24, 40},
                                                                                          {40, 24},
                                                                                          {32, 48},
                                                                                          {72, 128},
                                                                                          {128, 72},
                                                                                          {7, 12},
                                                                                          {12, 7},
                                                                                          {2, 5},
                                                                                          {5, 2},
                                                                                          {1, 9},
                                                                                          {9, 1},
                                                                                          {1, 1}}) {
      shapes.push_back({channels, height, width});
    }
  }
  return shapes;
}

std::shared_ptr<Augmentation> make_maker(const Checker& checker) {
  return checker.choice().component->info.kind == ComponentKind::transform
             ? as_augmentation(checker.make<Transform>())
             : checker.make<Augmentation>();
}

uint64_t repeats_for(const ImageShape& shape) { return shape.elements() > 20000 ? 3 : 12; }

RandomStream stream_of(uint64_t sample, int64_t view) {
  return {7, "conformance/views", 0, sample, static_cast<uint64_t>(view)};
}

View view_of(const Augmentation& augmentation, const Picture& picture, int64_t view,
             uint64_t sample, int pattern, bool nan) {
  const ImageShape shape = augmentation.view_shape(picture.shape(), view);
  Canvas canvas(shape, pattern, nan);
  RandomStream stream = stream_of(sample, view);
  augmentation.apply(picture.image(), view, stream, canvas.view());
  if (const int64_t place = canvas.written_beside(); place != 0) {
    throw Violation(
        fmt::format("apply() wrote to output[{}] of a view of {} = {} floats of an image of {}: "
                    "write within the span that is given",
                    place, to_text(shape), shape.elements(), to_text(picture.shape())));
  }
  return canvas.copy();
}

bool same_bits(const View& a, const View& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

bool accepts(const Augmentation& augmentation, const ImageShape& shape, std::string& refusal) {
  try {
    for (const int64_t view : tried_views) {
      augmentation.view_shape(shape, view);
    }
    return true;
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::input,
            "images of {} are refused as a failed run (\"{}\"); refuse what cannot be handled with "
            "fail_input",
            to_text(shape), error.what());
    refusal = error.what();
    return false;
  } catch (const Violation&) {
    throw;
  } catch (const std::exception& exception) {
    throw Violation(
        fmt::format("images of {} are refused by an exception that is no bissl::Error (\"{}\"); "
                    "refuse what cannot be handled with fail_input",
                    to_text(shape), exception.what()));
  }
}

std::vector<ImageShape> accepted_shapes(const Augmentation& augmentation) {
  std::vector<ImageShape> accepted;
  std::string refusal;
  for (const ImageShape& shape : shapes_of_pictures()) {
    if (!accepts(augmentation, shape, refusal)) {
      continue;
    }
    accepted.push_back(shape);
    try {
      view_of(augmentation, Picture(shape), 0, 0);
    } catch (const Violation&) {
      // Another check reports it.
    } catch (const std::exception& exception) {
      throw Violation(fmt::format(
          "images of {} are accepted, but apply() fails on them: {}; refuse what cannot be handled "
          "in view_shape() (of a transform: output_shape()), with fail_input",
          to_text(shape), exception.what()));
    }
  }
  require(!accepted.empty(), "no image is accepted; the last refusal: {}", refusal);
  return accepted;
}

}  // namespace bissl::host
