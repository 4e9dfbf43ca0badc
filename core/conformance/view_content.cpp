#include "conformance/view_checks.h"

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

using Content = Picture::Content;

/// How much a view changes both along its rows and along its columns: 0 for stripes of either
/// direction, near 1 where no direction is left.
double mixing(const View& view, const ImageShape& shape) {
  double across = 0;
  double down = 0;
  const auto at = [&](int64_t c, int64_t y, int64_t x) {
    return static_cast<double>(view[static_cast<size_t>((c * shape.height + y) * shape.width + x)]);
  };
  for (int64_t c = 0; c < shape.channels; ++c) {
    for (int64_t y = 0; y + 1 < shape.height; ++y) {
      for (int64_t x = 0; x + 1 < shape.width; ++x) {
        across += std::abs(at(c, y, x + 1) - at(c, y, x));
        down += std::abs(at(c, y + 1, x) - at(c, y, x));
      }
    }
  }
  const double larger = std::max(across, down);
  return larger > 0 ? std::min(across, down) / larger : 0;
}

/// Of several views of stripes the one that keeps them best; over both directions the worse.
double mixing_of(const Augmentation& augmentation, const ImageShape& shape) {
  constexpr uint64_t samples = 20;
  double worse = 0;
  for (const Content content : {Content::rows, Content::columns}) {
    const Picture picture(shape, content);
    double best = 1;
    for (uint64_t sample = 0; sample < samples; ++sample) {
      const int64_t view = tried_views[sample % 2];
      best = std::min(best, mixing(view_of(augmentation, picture, view, sample),
                                   augmentation.view_shape(shape, view)));
    }
    worse = std::max(worse, best);
  }
  return worse;
}

}  // namespace

void check_written(const Augmentation& augmentation, const ImageShape& input) {
  for (const int64_t view : tried_views) {
    const ImageShape shape = augmentation.view_shape(input, view);
    require(shape.channels > 0 && shape.height > 0 && shape.width > 0,
            "views of {} of images of {}; expected at least one value", to_text(shape),
            to_text(input));
    require(augmentation.view_shape(input, view) == shape,
            "another shape is announced at a second call");
  }
  const Picture picture(input);
  for (uint64_t sample = 0; sample < repeats_for(input); ++sample) {
    const int64_t view = tried_views[sample % tried_views.size()];
    Canvas canvas(augmentation.view_shape(input, view), 0, true);
    RandomStream stream = stream_of(sample, view);
    augmentation.apply(picture.image(), view, stream, canvas.view());
    const View output = canvas.copy();
    for (size_t i = 0; i < output.size(); ++i) {
      require(std::isfinite(output[i]),
              "element {} of view {} of an image of {} is {}, or was not written", i, view,
              to_text(input), output[i]);
      require(std::abs(output[i]) < 100,
              "element {} of view {} of an image of {} is {}: networks want inputs near −1 … 1", i,
              view, to_text(input), output[i]);
    }
  }
}

void check_geometry(const Augmentation& augmentation, const ImageShape& input) {
  const Picture picture(input);
  for (uint64_t sample = 0; sample < repeats_for(input); ++sample) {
    const int64_t view = tried_views[sample % tried_views.size()];
    const ImageShape shape = augmentation.view_shape(input, view);
    const auto geometry_of_view = [&] {
      Canvas canvas(shape, 0, true);
      RandomStream stream = stream_of(sample, view);
      return augmentation.apply(picture.image(), view, stream, canvas.view());
    };
    const ViewGeometry geometry = geometry_of_view();
    const auto [x, y] =
        geometry(static_cast<double>(shape.width) / 2, static_cast<double>(shape.height) / 2);
    const double area = geometry.xx * geometry.yy - geometry.xy * geometry.yx;
    require(std::isfinite(area) && std::isfinite(x) && std::isfinite(y) && area != 0,
            "the geometry of view {} of an image of {} is [{}, {}, {}; {}, {}, {}]: numbers that "
            "are finite and map areas to areas are expected",
            view, to_text(input), geometry.xx, geometry.xy, geometry.x0, geometry.yx, geometry.yy,
            geometry.y0);
    // Frames around an image and moves may lead out of it, but not far.
    const double margin = 64 + static_cast<double>(std::max(input.height, input.width));
    require(x > -margin && x < static_cast<double>(input.width) + margin && y > -margin &&
                y < static_cast<double>(input.height) + margin,
            "the middle of view {} of an image of {} lies at ({}, {}), far outside: return the map "
            "from positions in the view to positions in the image",
            view, to_text(input), x, y);
    require(geometry_of_view() == geometry,
            "the geometry of view {} of an image of {} differs at a second call", view,
            to_text(input));
  }
}

void check_16_bits(const Augmentation& augmentation, const ImageShape& shape) {
  if (!augmentation.takes(PixelType::uint16)) {
    throw NotApplicable("it takes images of 8 bits alone");
  }
  const Picture picture(shape);
  const Image narrow = picture.image();
  std::vector<uint16_t> samples;
  for (int64_t i = 0; i < shape.elements(); ++i) {
    samples.push_back(static_cast<uint16_t>(257 * narrow.pixels[i]));
  }
  const Image wide{shape, reinterpret_cast<const uint8_t*>(samples.data()), nullptr,
                   PixelType::uint16};
  for (uint64_t sample = 0; sample < repeats_for(shape); ++sample) {
    const int64_t view = tried_views[sample % tried_views.size()];
    const View expected = view_of(augmentation, picture, view, sample);
    Canvas canvas(augmentation.view_shape(shape, view), 0, true);
    RandomStream stream = stream_of(sample, view);
    augmentation.apply(wide, view, stream, canvas.view());
    const std::vector<float> found = canvas.copy();
    for (size_t i = 0; i < found.size(); ++i) {
      require(std::abs(found[i] - expected[i]) <= 1e-4 * (1 + std::abs(expected[i])),
              "element {} of a view of a 16-bit image of {} is {}, of the same image of 8 bits {}: "
              "divide samples by 65535 where Image::type says so, or do not say that they are "
              "taken",
              i, to_text(shape), found[i], expected[i]);
    }
  }
}

void check_image(const Augmentation& augmentation, const ImageShape& shape) {
  const Picture picture(shape);
  for (uint64_t sample = 0; sample < repeats_for(shape); ++sample) {
    const int64_t view = tried_views[sample % tried_views.size()];
    Canvas canvas(augmentation.view_shape(shape, view), 0, true);
    RandomStream stream = stream_of(sample, view);
    augmentation.apply(picture.image(), view, stream, canvas.view());
    require(picture.unchanged(), "apply() wrote into the image of {} or beside it; work on a copy",
            to_text(shape));
  }
}

void check_nothing_beside(const Augmentation& augmentation, const ImageShape& shape) {
  Picture picture(shape);
  for (uint64_t sample = 0; sample < repeats_for(shape); ++sample) {
    const int64_t view = tried_views[sample % tried_views.size()];
    picture.surround(0);
    const View expected = view_of(augmentation, picture, view, sample, 0, /*nan=*/false);
    require(same_bits(view_of(augmentation, picture, view, sample, 1, /*nan=*/false), expected),
            "a view of an image of {} depends on what the output's memory held before: write every "
            "element before you read it, and read nothing beside the span",
            to_text(shape));
    picture.surround(0x9D);
    require(same_bits(view_of(augmentation, picture, view, sample, 0, /*nan=*/false), expected),
            "a view of an image of {} depends on bytes beside the image's pixels: rows or columns "
            "are counted wrongly",
            to_text(shape));
  }
}

void check_rows_and_columns(const Augmentation& augmentation,
                            const std::vector<ImageShape>& accepted) {
  const auto is_accepted = [&](const ImageShape& shape) {
    return std::find(accepted.begin(), accepted.end(), shape) != accepted.end();
  };
  bool tried = false;
  for (const int64_t channels : {1, 3}) {
    for (const auto& [square, shorter, longer] :
         std::initializer_list<std::array<int64_t, 3>>{{32, 24, 40}, {96, 72, 128}}) {
      const ImageShape even{channels, square, square};
      std::string refusal;
      if (!accepts(augmentation, even, refusal)) {
        continue;
      }
      const double expected = mixing_of(augmentation, even);
      for (const ImageShape& shape :
           {ImageShape{channels, shorter, longer}, ImageShape{channels, longer, shorter}}) {
        if (!is_accepted(shape) || expected > 0.3) {
          continue;
        }
        tried = true;
        const double found = mixing_of(augmentation, shape);
        require(found < 0.5,
                "stripes stay stripes in views of images of {}, not in those of {}: rows and "
                "columns (height and width) are exchanged somewhere",
                to_text(even), to_text(shape));
      }
    }
  }
  if (!tried) {
    throw NotApplicable("it takes square images alone, or keeps no stripes in any view");
  }
}

}  // namespace bissl::host
