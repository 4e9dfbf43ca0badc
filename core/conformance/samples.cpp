#include "conformance/samples.h"

#include "bissl/modules.h"
#include "bissl/random.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <torch/nn/module.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

class SampleBackbone : public Backbone {
 public:
  SampleBackbone() : module_(std::make_shared<torch::nn::Module>()) {
    first_ = module_->register_module(
        "first", Conv2d(torch::nn::Conv2dOptions(1, 4, 3).stride(2).padding(1)));
    normalisation_ = module_->register_module("normalisation", BatchNorm(4));
    second_ = module_->register_module("second", Linear(4, sample_features));
    third_ = module_->register_module("third", Linear(sample_features, sample_features));
    convert_to_double(*module_);
  }
  at::Tensor forward(const at::Tensor& images) override {
    const at::Tensor hidden = torch::tanh(normalisation_(first_(images)));
    return torch::tanh(third_(torch::tanh(second_(hidden.mean({2, 3})))));
  }
  int64_t features() const override { return sample_features; }
  torch::nn::Module& module() override { return *module_; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  Conv2d first_{nullptr};
  BatchNorm normalisation_{nullptr};
  Linear second_{nullptr};
  Linear third_{nullptr};
};

class SamplePretext : public Pretext {
 public:
  SamplePretext() : module_(std::make_shared<torch::nn::Module>()) {
    head_ = module_->register_module("head", Linear(sample_features, 4));
    convert_to_double(*module_);
  }
  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::gathered; }
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const Views& views = batch.views;
    const at::Tensor first = head_(backbone.forward(views[0]));
    const at::Tensor second = head_(backbone.forward(views[1]));
    const at::Tensor similarity = torch::mm(first, second.t());
    return (first - second).pow(2).mean() - torch::log_softmax(similarity * 4, 1).diagonal().mean();
  }
  torch::nn::Module& module() override { return *module_; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  Linear head_{nullptr};
};

}  // namespace

at::Tensor normal_numbers(at::IntArrayRef shape, uint64_t seed) {
  RandomStream stream(seed, "conformance");
  at::Tensor numbers = torch::empty(shape, torch::kDouble);
  double* data = numbers.data_ptr<double>();
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    data[i] = stream.normal();
  }
  return numbers;
}

TensorList normal_like(const TensorList& list, uint64_t seed) {
  TensorList numbers;
  for (size_t i = 0; i < list.size(); ++i) {
    numbers.push_back(normal_numbers(list[i].sizes(), seed * 1000 + i).to(list[i].scalar_type()));
  }
  return numbers;
}

const std::vector<ImageShape>& image_shapes() {
  static const std::vector<ImageShape> shapes = {{3, 32, 32}, {1, 28, 28}, {3, 64, 64},
                                                 {1, 8, 8},   {3, 96, 96}, {3, 224, 224}};
  return shapes;
}

FittedBackbone make_backbone_for_some_input(const Checker& checker) {
  std::exception_ptr last;
  for (const ImageShape& shape : image_shapes()) {
    try {
      seed_generator(1);
      const auto backbone = checker.make<Backbone>({shape});
      backbone->module().eval();
      const torch::NoGradGuard no_grad;
      backbone->forward(torch::zeros({2, shape.channels, shape.height, shape.width}));
      backbone->module().train();
      return {backbone, shape};
    } catch (...) {
      last = std::current_exception();
    }
  }
  std::rethrow_exception(last);
}

NamedTensors small_parameters() {
  NamedTensors parameters = {{"matrix", normal_numbers({4, 3}, 1)},
                             {"vector", normal_numbers({3}, 2)},
                             {"number", normal_numbers({1}, 3)}};
  for (auto& entry : parameters) {
    entry.tensor = entry.tensor.to(torch::kFloat).requires_grad_();
  }
  return parameters;
}

std::shared_ptr<Backbone> sample_backbone() { return sample_backbone(at::kDouble, 2); }

std::shared_ptr<Backbone> sample_backbone(c10::ScalarType type, uint64_t seed) {
  seed_generator(seed);
  auto backbone = std::make_shared<SampleBackbone>();
  convert_precision(backbone->module(), type);
  return backbone;
}

std::shared_ptr<Pretext> sample_pretext() {
  seed_generator(3);
  return std::make_shared<SamplePretext>();
}

}  // namespace bissl::host
