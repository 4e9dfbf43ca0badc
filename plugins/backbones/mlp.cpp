#include "networks.h"
#include "parts.h"

#include "bissl/backbone.h"
#include "bissl/error.h"
#include "bissl/plugin.h"

#include <ATen/ops/relu.h>

namespace bissl {
namespace {

struct MlpOptions {
  std::vector<int64_t> widths{512, 512};
  bool batch_norm = true;
};

Schema<MlpOptions> mlp_schema() {
  Schema<MlpOptions> schema;
  schema.add("widths", &MlpOptions::widths, "outputs of each layer; the last are the features")
      .at_least(1)
      .at_most(65536);
  schema.add("batch_norm", &MlpOptions::batch_norm, "normalise before each ReLU");
  schema.rule([](const MlpOptions& options, std::vector<Finding>& findings) {
    if (options.widths.empty()) {
      findings.push_back({Finding::Severity::error, "widths", "needs at least one layer"});
    }
  });
  return schema;
}

/// Layers of a matrix, batch normalisation and ReLU over all pixels.
class Mlp final : public Backbone {
 public:
  Mlp(const MlpOptions& options, const BackboneContext& context) : input_(context.input) {
    int64_t in = input_.channels * input_.height * input_.width;
    const auto layers = module_->register_module("layers", std::make_shared<Numbered>());
    for (const int64_t out : options.widths) {
      linears_.push_back(layers->add(Linear(in, out)));
      if (options.batch_norm) {
        norms_.push_back(layers->add(BatchNorm(out)));
      }
      layers->skip(1);
      in = out;
    }
    features_ = in;
  }

  at::Tensor forward(const at::Tensor& images) override {
    if (images.size(1) != input_.channels || images.size(2) != input_.height ||
        images.size(3) != input_.width) {
      fail_input("mlp is made for images of {}x{}x{} (channels, height, width), found {}x{}x{}",
                 input_.channels, input_.height, input_.width, images.size(1), images.size(2),
                 images.size(3));
    }
    at::Tensor x = images.flatten(1);
    for (size_t i = 0; i < linears_.size(); ++i) {
      x = linears_[i](x);
      x = at::relu(norms_.empty() ? x : norms_[i](x));
    }
    return x;
  }
  int64_t features() const override { return features_; }
  torch::nn::Module& module() override { return *module_; }

 private:
  ImageShape input_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  std::vector<Linear> linears_;
  std::vector<BatchNorm> norms_;
  int64_t features_ = 0;
};

}  // namespace

void add_mlp(Registrar& registrar) {
  registrar.add<Backbone, Mlp>(
      {.name = "mlp",
       .summary = "layers of matrices over all pixels of an image",
       .source = "Rumelhart, Hinton and Williams 1986, Nature 323; Ioffe and Szegedy 2015"},
      mlp_schema());
}

}  // namespace bissl
