#include "models/head_outputs.h"

#include "bissl/backbone_abilities.h"
#include "bissl/downstream_abilities.h"
#include "models/attribution.h"

#include <c10/core/GradMode.h>

#include <optional>

namespace bissl::host {
namespace {

ImageShape shape_of(const at::Tensor& images) {
  return {images.size(1), images.size(2), images.size(3)};
}

}  // namespace

at::Tensor head_outputs(Backbone& backbone, Downstream& downstream, const at::Tensor& images,
                        BackboneIs backbone_is) {
  const auto pass = [&](const auto& call) {
    std::optional<c10::NoGradGuard> frozen;
    if (backbone_is == BackboneIs::frozen) {
      frozen.emplace();
    }
    return call();
  };
  if (auto* head = capability<MapHead>(downstream)) {
    auto& ability = require_ability<FeatureMaps>(backbone, describe(backbone));
    const TensorList maps = pass([&] { return ability.maps(images); });
    return head->forward_maps(maps, shape_of(images));
  }
  if (auto* head = capability<TokenHead>(downstream)) {
    auto& ability = require_ability<Tokens>(backbone, describe(backbone));
    const at::Tensor tokens = pass([&] { return ability.tokens(images, {}); });
    return head->forward_tokens(tokens, shape_of(images));
  }
  return downstream.forward(pass([&] { return backbone.forward(images); }));
}

void require_readable(Backbone& backbone, Downstream& downstream) {
  if (capability<MapHead>(downstream) != nullptr) {
    require_ability<FeatureMaps>(backbone, describe(backbone));
  }
  if (capability<TokenHead>(downstream) != nullptr) {
    require_ability<Tokens>(backbone, describe(backbone));
  }
}

}  // namespace bissl::host
