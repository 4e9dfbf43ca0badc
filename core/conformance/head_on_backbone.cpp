#include "conformance/head_on_backbone.h"

#include "models/head_outputs.h"
#include "models/module_state.h"

#include <utility>

namespace bissl::host {

HeadOnBackbone::HeadOnBackbone(std::shared_ptr<Backbone> backbone, std::shared_ptr<Downstream> task,
                               const ImageShape& images)
    : backbone_(std::move(backbone)), task_(std::move(task)), images_(images) {
  require_readable(*backbone_, *task_);
  set_training(backbone_->module(), false);
}

at::Tensor HeadOnBackbone::forward(const at::Tensor& images) {
  if (images.scalar_type() != precision_) {
    precision_ = images.scalar_type();
    convert_precision(backbone_->module(), precision_);
  }
  return head_outputs(*backbone_, *task_, images);
}

bool reads_backbone(Downstream& task) {
  return capability<MapHead>(task) != nullptr || capability<TokenHead>(task) != nullptr;
}

}  // namespace bissl::host
