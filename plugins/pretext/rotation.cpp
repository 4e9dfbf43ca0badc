#include "components.h"
#include "projector.h"

#include "bissl/error.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>

namespace bissl {
namespace {

constexpr int64_t quarter_turns = 4;

struct Options {
  std::vector<int64_t> hidden = {};
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_hidden(schema, "hidden", &Options::hidden,
             "widths of hidden layers, with batch normalisation and ReLU, between the features and "
             "the classifier of rotations");
  return schema;
}

class Rotation : public Pretext {
 public:
  Rotation(const Options& options, const PretextContext& context)
      : head_(make_projector(context.features, followed_by(options.hidden, quarter_turns),
                             {.last_bias = true})) {
    for (const ImageShape& shape : context.views) {
      require_square(shape.height, shape.width);
    }
  }

  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor& view = batch.views[0];
    require_square(view.size(2), view.size(3));
    TensorList turned;
    for (int64_t turns = 0; turns < quarter_turns; ++turns) {
      turned.push_back(view.rot90(turns, {2, 3}));
    }
    const at::Tensor logits = head_->forward(backbone.forward(at::cat(turned)));
    const at::Tensor turns = at::arange(quarter_turns, logits.options().dtype(at::kLong));
    return at::cross_entropy_loss(
        logits, turns.unsqueeze(1).expand({quarter_turns, view.size(0)}).reshape(-1));
  }

  torch::nn::Module& module() override { return *head_; }

 private:
  static void require_square(int64_t height, int64_t width) {
    if (height != width) {
      fail_input(
          "rotation turns views by 90 degrees, so they must be square; found {}x{}. Give the "
          "augmentation one size",
          height, width);
    }
  }

  torch::nn::Sequential head_;
};

}  // namespace

void add_rotation(Registrar& registrar) {
  registrar.add<Pretext, Rotation>(
      {.name = "rotation",
       .summary = "tells by how many quarter turns an image was rotated",
       .source = "Gidaris, Singh and Komodakis 2018, arXiv 1803.07728, equations 2 and 3"},
      schema());
}

}  // namespace bissl
