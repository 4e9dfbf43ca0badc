#include "components.h"
#include "on_device.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/error.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/stack.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {1024, 64};
  int64_t part = 128;
  int64_t iterations = 1;
  double epsilon = 0.0;
};

constexpr ProjectorForm projector_form = {.last_bias = true};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form);
  schema
      .add("part", &Options::part,
           "samples that are whitened together: a batch is cut into such parts at random. More "
           "than the projector's width; the paper takes twice that")
      .at_least(2)
      .unit("samples");
  schema
      .add("iterations", &Options::iterations,
           "how often a batch is cut anew; the loss is their mean")
      .at_least(1);
  schema
      .add("epsilon", &Options::epsilon,
           "share of the identity that is mixed into a part's covariance before it is whitened")
      .at_least(0)
      .less_than(1);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    if (!options.projector.empty() && options.part <= options.projector.back()) {
      findings.push_back(
          {Finding::Severity::error, "part",
           fmt::format("= {} samples have no covariance of full rank in the projector's {} "
                       "dimensions: take more samples, or a narrower last layer",
                       options.part, options.projector.back())});
    }
  });
  return schema;
}

class WMse : public Pretext {
 public:
  WMse(const Options& options, const PretextContext& context)
      : options_(options),
        projector_(make_projector(context.features, options.projector, projector_form)) {
    require_parts(context.batch);
    require_parts(context.hessian_batch);
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const int64_t samples = batch.views[0].size(0);
    require_parts(samples);
    const at::Tensor first = projector_->forward(backbone.forward(batch.views[0]));
    const at::Tensor second = projector_->forward(backbone.forward(batch.views[1]));
    TensorList distances;
    TensorList failures;
    for (int64_t i = 0; i < options_.iterations; ++i) {
      const at::Tensor order =
          on_device_of(first, at::randperm(samples, at::TensorOptions().dtype(at::kLong)));
      for (const at::Tensor& part : order.split(options_.part)) {
        const at::Tensor whitened = whiten(first.index_select(0, part), failures);
        const at::Tensor other = whiten(second.index_select(0, part), failures);
        distances.push_back(2.0 - 2.0 * cosines(whitened, other));
      }
    }
    require_full_rank(failures);
    return at::cat(distances).mean();
  }

  torch::nn::Module& module() override { return *projector_; }

 private:
  void require_parts(int64_t samples) const {
    if (samples % options_.part != 0) {
      fail_input(
          "w-mse whitens {} samples at a time (part, for {} dimensions), and the batch has {}: "
          "take a batch of whole parts, or a smaller part",
          options_.part, options_.projector.back(), samples);
    }
  }

  /// All parts at once: a GPU is waited for once.
  void require_full_rank(const TensorList& failures) const {
    if (at::stack(failures).ne(0).any().item<bool>()) {
      fail_run(
          "w-mse cannot whiten {} samples: their covariance in {} dimensions does not have full "
          "rank. Dimensions have collapsed, or are constant over the batch: give epsilon, a wider "
          "hidden layer or a narrower last one",
          options_.part, options_.projector.back());
    }
  }

  /// W·(v − μ) with WᵀW the inverse covariance: section 3, with W = L⁻¹ from the Cholesky
  /// decomposition L·Lᵀ of the covariance. Where there is none, `failures` gets a number that is
  /// not 0, and the result is of no use.
  at::Tensor whiten(const at::Tensor& rows, TensorList& failures) const {
    const at::Tensor centred = rows - rows.mean(0);
    const at::Tensor identity = at::eye(rows.size(1), rows.options().requires_grad(false));
    const at::Tensor covariance =
        (1.0 - options_.epsilon) * products(centred.t(), centred.t()) / double(rows.size(0) - 1) +
        options_.epsilon * identity;
    const auto [lower, info] = at::linalg_cholesky_ex(covariance);
    failures.push_back(info);
    return at::linalg_solve_triangular(lower, centred.t(), /*upper=*/false).t();
  }

  Options options_;
  torch::nn::Sequential projector_;
};

}  // namespace

void add_w_mse(Registrar& registrar) {
  registrar.add<Pretext, WMse>(
      {.name = "w-mse",
       .summary = "draws two views together after whitening their embeddings over the batch",
       .source = "Ermolov et al. 2021, arXiv 2007.06346, equations 3 to 6"},
      schema());
}

}  // namespace bissl
