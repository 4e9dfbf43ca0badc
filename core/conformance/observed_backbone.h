#pragma once

#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/tensor_list.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bissl::host {

/// A backbone with a memory of what its buffers were after each pass, and of the abilities that it
/// was asked for and has not.
class ObservedBackbone final : public Backbone, private FeatureMaps, private Tokens {
 public:
  explicit ObservedBackbone(std::shared_ptr<Backbone> inner);
  at::Tensor forward(const at::Tensor& images) override;
  int64_t features() const override { return inner_->features(); }
  torch::nn::Module& module() override { return inner_->module(); }
  void* capability(std::string_view id) override;

  /// From now on: forgets the passes so far.
  void begin();
  /// Throws a Violation if a buffer is none of what it was at begin() or after a pass since.
  void require_buffers_of_a_pass(const std::string& call) const;

  /// Whether it was asked for an ability that it has not.
  bool lacked_ability() const { return lacked_ability_; }

 private:
  std::vector<Level> map_levels() const override { return maps_->map_levels(); }
  TensorList maps(const at::Tensor& images) override;
  Patch patch() const override { return tokens_->patch(); }
  int64_t token_width() const override { return tokens_->token_width(); }
  int64_t extra_tokens() const override { return tokens_->extra_tokens(); }
  at::Tensor tokens(const at::Tensor& images, const PatchSelection& selection) override;

  template <class Pass>
  auto observed(const Pass& pass);
  TensorList buffers() const;
  bool has_seen(const TensorList& buffers) const;

  std::shared_ptr<Backbone> inner_;
  FeatureMaps* maps_;  ///< null where the backbone has none
  Tokens* tokens_;     ///< null where the backbone has none
  std::vector<TensorList> seen_;
  bool changed_between_ = false;  ///< buffers were none of them when a pass began
  bool lacked_ability_ = false;
};

}  // namespace bissl::host
