#include "conformance/view_checks.h"

#include "bissl/hash.h"
#include "conformance/surroundings.h"
#include "plugins/child_process.h"

#include <chrono>
#include <iterator>
#include <sstream>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;
using Content = Picture::Content;

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
          const int64_t view = tried_views[sample % 2];
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

}  // namespace

void check_repeats(const Checker& checker, const Augmentation& augmentation,
                   const Picture& picture) {
  const StirredMemory memory;
  const auto second = make_maker(checker);
  for (uint64_t sample = 0; sample < repeats_for(picture.shape()); ++sample) {
    const int64_t view = tried_views[sample % tried_views.size()];
    StirredMemory::stir(0x5A);
    const View first = view_of(augmentation, picture, view, sample);
    StirredMemory::stir(0xC3);
    require(same_bits(view_of(augmentation, picture, view, sample), first),
            "a second call with the same stream differs: a view may depend on image, view number "
            "and stream alone");
    require(same_bits(view_of(*second, picture, view, sample), first), "a second instance differs");
  }
}

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

}  // namespace bissl::host
