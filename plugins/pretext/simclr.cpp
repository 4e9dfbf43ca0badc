#include "nt_xent.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

namespace bissl {
namespace {

struct Options {
  double temperature = 0.5;
  std::vector<int64_t> projector = {256, 256, 256};
  std::string forward = "joint";
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("temperature", &Options::temperature,
           "divides the cosine similarities: smaller weighs hard negatives more")
      .more_than(0);
  add_projector(schema, &Options::projector);
  schema
      .add("forward", &Options::forward,
           "\"joint\" sends both views through the network in one batch with common statistics "
           "of batch normalisation, \"separate\" one after the other, as most published code does")
      .choices({"joint", "separate"});
  return schema;
}

class SimClr : public Pretext {
 public:
  SimClr(const Options& options, const PretextContext& context)
      : options_(options), projector_(make_projector(context.features, options.projector)) {}

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::gathered; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const Views& views = batch.views;
    require_two_samples(views[0], "simclr compares the samples of a batch");
    if (options_.forward == "separate") {
      const at::Tensor first = projector_->forward(backbone.forward(views[0]));
      const at::Tensor second = projector_->forward(backbone.forward(views[1]));
      return nt_xent(first, second, options_.temperature);
    }
    const at::Tensor embeddings = projector_->forward(backbone.forward(joined(views)));
    const auto halves = embeddings.chunk(2);
    return nt_xent(halves[0], halves[1], options_.temperature);
  }

  torch::nn::Module& module() override { return *projector_; }

 private:
  Options options_;
  torch::nn::Sequential projector_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("simclr", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Pretext, SimClr>(
      {.name = "simclr",
       .summary = "contrasts two views of each image with all others of the batch (NT-Xent)",
       .source = "Chen et al. 2020, arXiv 2002.05709, equation 1"},
      schema());
}
