#include "components.h"
#include "contrast.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

namespace bissl {
namespace {

struct Options {
  double temperature = 0.1;
  std::vector<int64_t> projector = {2048, 128};
};

struct WeightedOptions {
  Options plain;
  double sigma = 0.5;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("temperature", &Options::temperature, "divides the cosine similarities").more_than(0);
  add_projector(schema, &Options::projector);
  return schema;
}

Schema<WeightedOptions> weighted_schema() {
  Schema<WeightedOptions> schema;
  schema.embed(&WeightedOptions::plain, bissl::schema());
  schema
      .add("sigma", &WeightedOptions::sigma,
           "divides the cosines that positive pairs are weighted by: smaller weighs pairs that are "
           "still far apart more")
      .more_than(0);
  return schema;
}

/// Both views go through the network as one batch, with common statistics.
class Dcl : public Pretext {
 public:
  Dcl(const Options& options, const PretextContext& context)
      : options_(options), projector_(make_projector(context.features, options.projector)) {}
  Dcl(const WeightedOptions& options, const PretextContext& context) : Dcl(options.plain, context) {
    sigma_ = options.sigma;
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::gathered; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], sigma_ ? "dclw compares the samples of a batch"
                                               : "dcl compares the samples of a batch");
    const auto halves = projector_->forward(backbone.forward(joined(batch.views))).chunk(2);
    return decoupled_contrast(halves[0], halves[1], options_.temperature, sigma_);
  }

  torch::nn::Module& module() override { return *projector_; }

 private:
  Options options_;
  std::optional<double> sigma_;
  torch::nn::Sequential projector_;
};

}  // namespace

void add_dcl(Registrar& registrar) {
  registrar.add<Pretext, Dcl>({.name = "dcl",
                               .summary = "SimCLR without the positive pair among the negatives",
                               .source = "Yeh et al. 2022, arXiv 2110.06848, L_DC"},
                              schema());
  registrar.add<Pretext, Dcl>(
      {.name = "dclw",
       .summary = "dcl with more weight on positive pairs that are far apart",
       .source = "Yeh et al. 2022, arXiv 2110.06848, L_DCW"},
      weighted_schema());
}

}  // namespace bissl
