#include "bissl/planned_view.h"
#include "bissl/transform.h"
#include "conformance/view_checks.h"
#include "data/device_views.h"

#include <ATen/ops/empty.h>

#include <cmath>

namespace bissl::host {
namespace {

/// Plans a view with a stream that is the component's own.
using ViewPlanner = std::function<ViewGeometry(int64_t view, RandomStream&, PlannedView&)>;

ViewPlanner planner_of(const Checker& checker) {
  if (checker.choice().component->info.kind == ComponentKind::transform) {
    const auto transform = checker.make<Transform>();
    const auto* step = bissl::capability<PlannedStep>(*transform);
    return step == nullptr
               ? ViewPlanner()
               : [transform, step](int64_t /*view*/, RandomStream& stream, PlannedView& planned) {
                   return step->plan(stream, planned);
                 };
  }
  const auto augmentation = checker.make<Augmentation>();
  const auto* views = bissl::capability<PlannedViews>(*augmentation);
  return views == nullptr
             ? ViewPlanner()
             : [augmentation, views](int64_t view, RandomStream& stream, PlannedView& planned) {
                 return views->plan(view, stream, planned);
               };
}

/// The share of values that are apart by more than a rounding.
double share_apart(const View& made, const PlannedRow& row) {
  const ImageShape shape = row.views.front().shape();
  const at::Tensor room =
      at::empty({1, shape.channels, shape.height, shape.width}, at::TensorOptions(at::kFloat));
  make_views({row}, {room});
  const float* planned = room.data_ptr<float>();
  int64_t apart = 0;
  for (size_t i = 0; i < made.size(); ++i) {
    // Written so that NaN is apart.
    apart += std::abs(planned[i] - made[i]) <= 1e-3F * (1 + std::abs(made[i])) ? 0 : 1;
  }
  return static_cast<double>(apart) / static_cast<double>(made.size());
}

void check_plan(const ViewPlanner& plan, const Augmentation& augmentation, const Picture& picture,
                int64_t view, uint64_t sample) {
  const ImageShape shape = augmentation.view_shape(picture.shape(), view);
  RandomStream planning = stream_of(sample, view);
  RandomStream making = stream_of(sample, view);
  PlannedRow row{.image = picture.image(), .views = {}, .geometry = {}};
  row.views.emplace_back(picture.shape());
  row.geometry.push_back(plan(view, planning, row.views.front()));
  Canvas canvas(shape, 0, true);
  const ViewGeometry geometry = augmentation.apply(picture.image(), view, making, canvas.view());
  const ImageShape planned = row.views.front().shape();
  require(planned == shape,
          "plan() gives view {} of an image of {} the shape {}, but apply() makes {}", view,
          to_text(picture.shape()), to_text(planned), to_text(shape));
  require(planning.bits64() == making.bits64(),
          "plan() draws other numbers for view {} of an image of {} than apply(): draw the same, "
          "in the same order",
          view, to_text(picture.shape()));
  require(row.geometry.front() == geometry,
          "plan() and apply() return different geometries for view {} of an image of {}", view,
          to_text(picture.shape()));
  // A threshold may lie within a rounding of a few values.
  const double share = share_apart(canvas.copy(), row);
  require(share <= 0.005,
          "{:.2g} % of the values of view {} of an image of {} are other ones when they are made "
          "as plan() says than those of apply()",
          100 * share, view, to_text(picture.shape()));
}

}  // namespace

void check_plans(const Checker& checker, const Augmentation& augmentation,
                 const std::vector<ImageShape>& accepted) {
  const ViewPlanner plan = planner_of(checker);
  if (!plan) {
    throw NotApplicable("it plans no views");
  }
  for (const ImageShape& shape : accepted) {
    const Picture picture(shape);
    for (uint64_t sample = 0; sample < repeats_for(shape); ++sample) {
      check_plan(plan, augmentation, picture, tried_views[sample % tried_views.size()], sample);
    }
  }
}

}  // namespace bissl::host
