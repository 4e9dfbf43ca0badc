#pragma once

#include "parts.h"

#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/plugin.h"
#include "bissl/tensor_list.h"

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// A convolutional network without its classifier.
class MapModule : public torch::nn::Module {
 public:
  /// (N, C, H, W) → the maps of `levels()`.
  virtual TensorList maps(const at::Tensor& images) = 0;
  /// (N, C, H, W) → (N, features()): the last map's mean over all places unless it says otherwise.
  virtual at::Tensor forward(const at::Tensor& images) { return maps(images).back().mean({2, 3}); }

  /// Of maps(), from fine to coarse.
  const std::vector<FeatureMaps::Level>& levels() const { return levels_; }
  int64_t features() const { return levels_.back().channels; }

 protected:
  std::vector<FeatureMaps::Level> levels_;
};

/// A backbone around such a network.
class MapBackbone : public Backbone, public FeatureMaps {
 public:
  explicit MapBackbone(std::shared_ptr<MapModule> module) : module_(std::move(module)) {}

  at::Tensor forward(const at::Tensor& images) override { return module_->forward(images); }
  int64_t features() const override { return module_->features(); }
  torch::nn::Module& module() override { return *module_; }
  void* capability(std::string_view id) override { return provide<FeatureMaps>(*this, id); }
  std::vector<Level> map_levels() const override { return module_->levels(); }
  TensorList maps(const at::Tensor& images) override { return module_->maps(images); }

 private:
  std::shared_ptr<MapModule> module_;
};

/// Registers `Module`, which is made from its options and the images' shape.
template <class Module, class Options>
void add_map_backbone(Registrar& registrar, ComponentText text, const Schema<Options>& schema) {
  registrar.add<Backbone>(
      std::move(text), schema, [](const Options& options, const BackboneContext& context) {
        return std::make_shared<MapBackbone>(std::make_shared<Module>(options, context.input));
      });
}

/// The same with one of several sizes: `Sized` has a member `network` of type `Options`, whose
/// values there are the defaults.
template <class Module, class Sized, class Options>
void add_sized_backbone(Registrar& registrar, ComponentText text, const Schema<Options>& options) {
  Schema<Sized> schema;
  schema.embed(&Sized::network, options);
  registrar.add<Backbone>(std::move(text), schema,
                          [](const Sized& sized, const BackboneContext& context) {
                            return std::make_shared<MapBackbone>(
                                std::make_shared<Module>(sized.network, context.input));
                          });
}

}  // namespace bissl
