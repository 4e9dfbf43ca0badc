#include "bissl/augmentation.h"

#include "conformance/surroundings.h"
#include "conformance/values_at_bounds.h"
#include "conformance/view_checks.h"

#include <chrono>

namespace bissl::host {

void check_augmentation(Checker& checker) {
  const auto begin = std::chrono::steady_clock::now();
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
  checker.check("plans the views that it makes, where it can",
                [&] { check_plans(checker, *augmentation, shapes); });
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
        view_of(*augmentation, picture, tried_views[sample % tried_views.size()], sample);
      }
    });
  });
  check_values_at_bounds(checker);
  if (checker.choice().component->info.kind == ComponentKind::transform) {
    checker.check("whole batches give what single views give, where they are taken",
                  [&] { check_whole_batches(checker, shapes); });
  }
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
