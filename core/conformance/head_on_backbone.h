#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/downstream_abilities.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <string_view>

namespace bissl::host {

/// A task that reads more of the backbone than its features, together with one: its forward() is
/// given images. The backbone is in evaluation mode and in the images' precision.
class HeadOnBackbone final : public Downstream {
 public:
  /// `images`: the shape that the backbone is made for. Throws Error(ErrorKind::input) where it
  /// lacks what the task reads.
  HeadOnBackbone(std::shared_ptr<Backbone> backbone, std::shared_ptr<Downstream> task,
                 const ImageShape& images);

  const ImageShape& images() const { return images_; }

  at::Tensor forward(const at::Tensor& images) override;
  at::Tensor loss(const at::Tensor& outputs, const TargetBatch& targets) override {
    return task_->loss(outputs, targets);
  }
  std::vector<MetricInfo> metric_info() const override { return task_->metric_info(); }
  std::unique_ptr<MetricAccumulator> metrics() const override { return task_->metrics(); }
  torch::nn::Module& module() override { return task_->module(); }
  /// What the task says of its loss.
  void* capability(std::string_view id) override {
    return id == LossCoupling::id ? task_->capability(id) : nullptr;
  }

 private:
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Downstream> task_;
  ImageShape images_;
  c10::ScalarType precision_ = c10::ScalarType::Float;  ///< of the backbone
};

/// Whether a task has an ability of bissl/downstream_abilities.h.
bool reads_backbone(Downstream& task);

}  // namespace bissl::host
