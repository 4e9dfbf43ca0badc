#include "bissl/augmentation.h"

#include "bissl/error.h"
#include "bissl/hash.h"
#include "bissl/transform.h"
#include "conformance/canvas.h"
#include "conformance/checker.h"
#include "conformance/samples.h"
#include "conformance/surroundings.h"
#include "conformance/transform_view.h"
#include "plugins/child_process.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <sstream>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;
using View = std::vector<float>;
using Content = Picture::Content;

constexpr std::array<int64_t, 4> views = {0, 1, 2, 7};

/// Beside the shapes that all kinds are tried on: such that are not square, and small ones.
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

/// A new instance: of an augmentation, or of a transform as one.
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
             uint64_t sample, int pattern = 0, bool nan = true) {
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

/// Whether the augmentation takes images of this shape. A refusal must be one of wrong input.
bool accepts(const Augmentation& augmentation, const ImageShape& shape, std::string& refusal) {
  try {
    for (const int64_t view : views) {
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

/// The shapes that the augmentation accepts, of which it must make views.
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
      // Another check tells.
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

void check_written(const Augmentation& augmentation, const ImageShape& input) {
  for (const int64_t view : views) {
    const ImageShape shape = augmentation.view_shape(input, view);
    require(shape.channels > 0 && shape.height > 0 && shape.width > 0,
            "views of {} of images of {}; expected at least one value", to_text(shape),
            to_text(input));
    require(augmentation.view_shape(input, view) == shape,
            "another shape is announced at a second call");
  }
  const Picture picture(input);
  for (uint64_t sample = 0; sample < repeats_for(input); ++sample) {
    const int64_t view = views[sample % views.size()];
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

/// Where views lie in their images: finite, not folded to a line, near the image, and the same at
/// each call.
void check_geometry(const Augmentation& augmentation, const ImageShape& input) {
  const Picture picture(input);
  for (uint64_t sample = 0; sample < repeats_for(input); ++sample) {
    const int64_t view = views[sample % views.size()];
    const ImageShape shape = augmentation.view_shape(input, view);
    const auto geometry_of_view = [&] {
      Canvas canvas(shape, 0, true);
      RandomStream stream = stream_of(sample, view);
      return augmentation.apply(picture.image(), view, stream, canvas.view());
    };
    const ViewGeometry geometry = geometry_of_view();
    const auto [x, y] = geometry(double(shape.width) / 2, double(shape.height) / 2);
    const double area = geometry.xx * geometry.yy - geometry.xy * geometry.yx;
    require(std::isfinite(area) && std::isfinite(x) && std::isfinite(y) && area != 0,
            "the geometry of view {} of an image of {} is [{}, {}, {}; {}, {}, {}]: numbers that "
            "are finite and map areas to areas are expected",
            view, to_text(input), geometry.xx, geometry.xy, geometry.x0, geometry.yx, geometry.yy,
            geometry.y0);
    // Frames around an image and moves may lead out of it, but not far.
    const double margin = 64 + double(std::max(input.height, input.width));
    require(x > -margin && x < double(input.width) + margin && y > -margin &&
                y < double(input.height) + margin,
            "the middle of view {} of an image of {} lies at ({}, {}), far outside: return the map "
            "from positions in the view to positions in the image",
            view, to_text(input), x, y);
    require(geometry_of_view() == geometry,
            "the geometry of view {} of an image of {} differs at a second call", view,
            to_text(input));
  }
}

/// Of the image with 16-bit samples, each 257 times the 8-bit one, the same view is made.
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
    const int64_t view = views[sample % views.size()];
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
    const int64_t view = views[sample % views.size()];
    Canvas canvas(augmentation.view_shape(shape, view), 0, true);
    RandomStream stream = stream_of(sample, view);
    augmentation.apply(picture.image(), view, stream, canvas.view());
    require(picture.unchanged(), "apply() wrote into the image of {} or beside it; work on a copy",
            to_text(shape));
  }
}

/// Patterns around image and view, and what the view's memory held before, make no difference.
void check_nothing_beside(const Augmentation& augmentation, const ImageShape& shape) {
  Picture picture(shape);
  for (uint64_t sample = 0; sample < repeats_for(shape); ++sample) {
    const int64_t view = views[sample % views.size()];
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

void check_repeats(const Checker& checker, const Augmentation& augmentation,
                   const Picture& picture) {
  const StirredMemory memory;
  const auto second = make_maker(checker);
  for (uint64_t sample = 0; sample < repeats_for(picture.shape()); ++sample) {
    const int64_t view = views[sample % views.size()];
    StirredMemory::stir(0x5A);
    const View first = view_of(augmentation, picture, view, sample);
    StirredMemory::stir(0xC3);
    require(same_bits(view_of(augmentation, picture, view, sample), first),
            "a second call with the same stream differs: a view may depend on image, view number "
            "and stream alone");
    require(same_bits(view_of(*second, picture, view, sample), first), "a second instance differs");
  }
}

/// A call of apply() and what it must give.
struct Call {
  size_t picture;
  Content content;
  int64_t view;
  uint64_t sample;
  View expected;
};

/// Up to three pictures of different shapes and what new instances make of them.
class History {
 public:
  History(const Checker& checker, const std::vector<ImageShape>& shapes) {
    std::vector<ImageShape> chosen = {shapes.front()};
    for (const ImageShape& shape : shapes) {
      if (chosen.size() < 3 && shape.elements() < 10000 && shape != chosen.front()) {
        chosen.push_back(shape);
      }
    }
    for (const ImageShape& shape : chosen) {
      pictures.emplace_back(shape);
    }
    for (size_t i = 0; i < pictures.size(); ++i) {
      for (const Content content : {Content::noise, Content::other_noise}) {
        pictures[i].paint(content);
        for (uint64_t sample = 0; sample < 4; ++sample) {
          const auto fresh = make_maker(checker);
          const int64_t view = views[sample % 2];
          calls.push_back({i, content, view, sample, view_of(*fresh, pictures[i], view, sample)});
        }
      }
    }
  }

  /// What is wrong with a call's result, or an empty text.
  std::string difference(const Augmentation& augmentation, const Call& call,
                         Picture& picture) const {
    picture.paint(call.content);
    const View found = view_of(augmentation, picture, call.view, call.sample);
    return same_bits(found, call.expected)
               ? ""
               : fmt::format(
                     "view {} of sample {}, an image of {}, came out different from a new "
                     "instance's",
                     call.view, call.sample, to_text(picture.shape()));
  }

  std::vector<Picture> pictures;  ///< small ones but for the first
  std::vector<Call> calls;
};

/// A view's hash for each of some samples, the last one first.
std::vector<std::string> views_backwards(const Augmentation& augmentation, const Picture& picture) {
  constexpr uint64_t samples = 6;
  std::vector<std::string> hashes(samples);
  for (uint64_t sample = samples; sample > 0; --sample) {
    const View view = view_of(augmentation, picture, 0, sample - 1);
    hashes[sample - 1] = Hasher().update(view.data(), view.size() * sizeof(float)).hex();
  }
  return hashes;
}

/// The same for an image of the first shape that is accepted, in a process in which nothing was
/// made before. Empty where that gave no answer.
std::vector<std::string> views_elsewhere(const Checker& checker) {
  const ChildOutcome outcome = run_in_child(std::chrono::seconds(10), [&](const SendLine& send) {
    const auto augmentation = make_maker(checker);
    std::string refusal;
    for (const ImageShape& shape : shapes_of_pictures()) {
      if (accepts(*augmentation, shape, refusal)) {
        for (const std::string& hash : views_backwards(*augmentation, Picture(shape))) {
          send(hash);
        }
        return;
      }
    }
  });
  std::istringstream lines(outcome.answer);
  return {std::istream_iterator<std::string>(lines), {}};
}

void check_history(const Checker& checker, const std::vector<ImageShape>& shapes,
                   const std::vector<std::string>& elsewhere) {
  constexpr int calls = 400;
  const std::vector<std::string> here =
      views_backwards(*make_maker(checker), Picture(shapes.front()));
  require(elsewhere.size() != here.size() || elsewhere == here,
          "in another process, where nothing was made before, views are others: keep no state, nor "
          "static variables that a call fills");
  History history(checker, shapes);
  const auto augmentation = make_maker(checker);
  RandomStream stream(9, "conformance/history");
  const auto end = Clock::now() + std::chrono::seconds(5);
  for (int i = 0; i < calls && Clock::now() < end; ++i) {
    const Call& call = history.calls[stream.below(history.calls.size())];
    const std::string wrong =
        history.difference(*augmentation, call, history.pictures[call.picture]);
    require(wrong.empty(),
            "after {} other views {}: keep no state, and remember nothing by an image's address "
            "or shape",
            i, wrong);
  }
}

void check_threads(const Checker& checker, const std::vector<ImageShape>& shapes) {
  const auto time = std::chrono::milliseconds(checker.failed() ? 100 : 600);
  const History history(checker, shapes);
  const auto shared = make_maker(checker);
  const auto end = Clock::now() + time;
  require_in_threads([&](size_t thread) -> std::string {
    std::vector<Picture> pictures = history.pictures;
    const auto own = make_maker(checker);
    for (size_t i = 0; i < 2 * history.calls.size() || Clock::now() < end; ++i) {
      const Call& call = history.calls[(i * (2 * thread + 1) + thread) % history.calls.size()];
      const Augmentation& augmentation = i % 4 == 0 ? *own : *shared;
      const std::string wrong = history.difference(augmentation, call, pictures[call.picture]);
      if (!wrong.empty()) {
        return wrong + "; share no memory between calls";
      }
    }
    return "";
  });
}

/// How much a view changes both along its rows and along its columns: 0 for stripes of either
/// direction, near 1 where no direction is left.
double mixing(const View& view, const ImageShape& shape) {
  double across = 0;
  double down = 0;
  const auto at = [&](int64_t c, int64_t y, int64_t x) {
    return double(view[static_cast<size_t>((c * shape.height + y) * shape.width + x)]);
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
      const int64_t view = views[sample % 2];
      best = std::min(best, mixing(view_of(augmentation, picture, view, sample),
                                   augmentation.view_shape(shape, view)));
    }
    worse = std::max(worse, best);
  }
  return worse;
}

/// Exchanged rows and columns do not show in square images, whose stripes stay stripes; in others
/// they leave no direction.
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

}  // namespace

void check_augmentation(Checker& checker) {
  const auto begin = Clock::now();
  std::shared_ptr<Augmentation> augmentation;
  std::vector<ImageShape> shapes;
  std::vector<std::string> elsewhere;
  if (!checker.check("accepts images, and refuses others as wrong input", [&] {
        elsewhere = views_elsewhere(checker);
        augmentation = make_maker(checker);
        shapes = accepted_shapes(*augmentation);
      })) {
    return;
  }
  const Picture picture(shapes.front());
  checker.check("views have the shape that is announced, all of it written and finite", [&] {
    for (const ImageShape& shape : shapes) {
      check_written(*augmentation, shape);
    }
  });
  checker.check("the image stays as it is", [&] {
    for (const ImageShape& shape : shapes) {
      check_image(*augmentation, shape);
    }
  });
  if (!checker.check("writes the view and nothing beside it, reads the image and nothing beside it",
                     [&] {
                       for (const ImageShape& shape : shapes) {
                         check_nothing_beside(*augmentation, shape);
                       }
                     })) {
    return;
  }
  checker.check("tells where a view lies in its image", [&] {
    for (const ImageShape& shape : shapes) {
      check_geometry(*augmentation, shape);
    }
  });
  checker.check("16-bit images give the views of 8-bit ones, where they are taken", [&] {
    for (const ImageShape& shape : shapes) {
      check_16_bits(*augmentation, shape);
    }
  });
  const View early = view_of(*augmentation, picture, 0, 0);
  checker.check("the same image, stream and view give the same result, in each instance",
                [&] { check_repeats(checker, *augmentation, picture); });
  checker.check("a view does not depend on what was made before",
                [&] { check_history(checker, shapes, elsewhere); });
  checker.check("rows and columns keep their places, whatever the image's shape",
                [&] { check_rows_and_columns(*augmentation, shapes); });
  checker.check("draws from the stream that it is given and from no other", [&] {
    require_no_draws("the constructor", Generators::all, [&] { make_maker(checker); });
    require_no_draws("apply()", Generators::all, [&] {
      for (uint64_t sample = 0; sample < 40; ++sample) {
        view_of(*augmentation, picture, views[sample % views.size()], sample);
      }
    });
  });
  checker.check("several threads work at once", [&] { check_threads(checker, shapes); });
  if (checker.failed()) {
    checker.skip("nothing depends on the time", "not tried, since other checks failed");
    return;
  }
  checker.check("nothing depends on the time", [&] {
    wait_for_next_second(begin);
    require(same_bits(view_of(*augmentation, picture, 0, 0), early) &&
                same_bits(view_of(*make_maker(checker), picture, 0, 0), early),
            "a view changes with the time; draw from the stream alone");
  });
}

void check_transform(Checker& checker) { check_augmentation(checker); }

}  // namespace bissl::host
