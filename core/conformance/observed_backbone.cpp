#include "conformance/observed_backbone.h"

#include "conformance/checker.h"
#include "conformance/module_record.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <utility>

namespace bissl::host {

ObservedBackbone::ObservedBackbone(std::shared_ptr<Backbone> inner)
    : inner_(std::move(inner)),
      maps_(bissl::capability<FeatureMaps>(*inner_)),
      tokens_(bissl::capability<Tokens>(*inner_)) {
  begin();
}

void* ObservedBackbone::capability(std::string_view id) {
  void* found = nullptr;
  if (id == FeatureMaps::id) {
    found = maps_ == nullptr ? nullptr : static_cast<FeatureMaps*>(this);
  } else if (id == Tokens::id) {
    found = tokens_ == nullptr ? nullptr : static_cast<Tokens*>(this);
  } else {
    found = inner_->capability(id);
  }
  lacked_ability_ = lacked_ability_ || found == nullptr;
  return found;
}

template <class Pass>
auto ObservedBackbone::observed(const Pass& pass) {
  changed_between_ = changed_between_ || !has_seen(buffers());
  auto output = pass();
  seen_.push_back(buffers());
  return output;
}

at::Tensor ObservedBackbone::forward(const at::Tensor& images) {
  return observed([&] { return inner_->forward(images); });
}

TensorList ObservedBackbone::maps(const at::Tensor& images) {
  return observed([&] { return maps_->maps(images); });
}

at::Tensor ObservedBackbone::tokens(const at::Tensor& images, const PatchSelection& selection) {
  return observed([&] { return tokens_->tokens(images, selection); });
}

void ObservedBackbone::begin() {
  seen_ = {buffers()};
  changed_between_ = false;
}

bool ObservedBackbone::has_seen(const TensorList& buffers) const {
  return std::any_of(seen_.begin(), seen_.end(), [&](const TensorList& seen) {
    return seen.size() == buffers.size() &&
           std::equal(seen.begin(), seen.end(), buffers.begin(), same_bits);
  });
}

TensorList ObservedBackbone::buffers() const {
  TensorList copies;
  for (const at::Tensor& buffer : inner_->module().buffers()) {
    copies.push_back(buffer.detach().clone());
  }
  return copies;
}

void ObservedBackbone::require_buffers_of_a_pass(const std::string& call) const {
  require(
      !changed_between_ && has_seen(buffers()),
      "{} changes buffers of the backbone besides what its forward passes do: leave them to the "
      "backbone",
      call);
}

}  // namespace bissl::host
