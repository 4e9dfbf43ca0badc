#include "components.h"
#include "multi_crop.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/trapezoid.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {2048, 2048, 16};
  double weight = 0.05;
  int64_t slices = 256;
  int64_t points = 17;
  double range = 5.0;
};

constexpr ProjectorForm projector_form = {.last_bias = true};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form);
  schema
      .add("weight", &Options::weight,
           "share λ of the Gaussian regularisation; the distance of views has the rest")
      .at_least(0)
      .at_most(1);
  schema
      .add("slices", &Options::slices,
           "random directions, drawn for each loss, along which embeddings are to be Gaussian")
      .at_least(1)
      .only_above("weight", 0);
  schema.add("points", &Options::points, "points at which characteristic functions are compared")
      .at_least(2)
      .only_above("weight", 0);
  schema.add("range", &Options::range, "the points lie from minus this to this")
      .more_than(0)
      .only_above("weight", 0);
  return schema;
}

/// Directions of length 1 and the points of the test.
struct Test {
  at::Tensor directions;  ///< (D, slices)
  at::Tensor points;      ///< (points)
};

/// SIGReg: the Epps-Pulley statistic of each slice of (N, D) against a standard normal, weighted by
/// exp(−t²/2), a mean over the slices.
at::Tensor deviation_from_gaussian(const at::Tensor& rows, const Test& test) {
  const at::Tensor wanted = (-0.5 * test.points.square()).exp();
  const at::Tensor angles = rows.matmul(test.directions).unsqueeze(2) * test.points;
  const at::Tensor error = (angles.cos().mean(0) - wanted).square() + angles.sin().mean(0).square();
  return double(rows.size(0)) * at::trapezoid(error * wanted, test.points, 1).mean();
}

/// The paper's listing: the first two views are the global ones, whose mean all views are drawn to.
class LeJepa : public Pretext {
 public:
  LeJepa(const Options& options, const PretextContext& context)
      : options_(options),
        views_(declared_views(context)),
        projector_(make_projector(context.features, options.projector, projector_form)) {
    require_full_size_first(context.views, "centres are made");
  }

  int64_t views() const override { return views_; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "lejepa compares distributions over a batch");
    const at::Tensor rows = projector_->forward(features_of_all(backbone, batch.views));
    const at::Tensor by_view = rows.view({views_, -1, rows.size(1)});
    const at::Tensor centres = by_view.narrow(0, 0, full_size_views).mean(0, /*keepdim=*/true);
    const at::Tensor distance = (by_view - centres).square().mean();
    if (options_.weight == 0.0) {
      return distance;
    }
    const Test test = draw(rows);
    at::Tensor deviation = deviation_from_gaussian(by_view[0], test);
    for (int64_t view = 1; view < views_; ++view) {
      deviation = deviation + deviation_from_gaussian(by_view[view], test);
    }
    return (1.0 - options_.weight) * distance + options_.weight / double(views_) * deviation;
  }

  torch::nn::Module& module() override { return *projector_; }

 private:
  /// The directions are drawn in double precision, whatever the rows have: an audit, which computes
  /// in double precision, then measures the Hessian of the loss that is trained.
  Test draw(const at::Tensor& rows) const {
    const at::Tensor drawn = at::randn({options_.slices, rows.size(1)}, at::kDouble);
    return {unit(drawn).t().to(rows.device(), rows.scalar_type(), /*non_blocking=*/true),
            at::linspace(-options_.range, options_.range, options_.points,
                         rows.options().requires_grad(false))};
  }

  Options options_;
  int64_t views_;
  torch::nn::Sequential projector_;
};

}  // namespace

void add_lejepa(Registrar& registrar) {
  registrar.add<Pretext, LeJepa>(
      {.name = "lejepa",
       .summary = "draws views to their mean and their distribution to a standard normal (SIGReg)",
       .source = "Balestriero and LeCun 2025, arXiv 2511.08544, SIGReg with the Epps-Pulley test"},
      schema());
}

}  // namespace bissl
