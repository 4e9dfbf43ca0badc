#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"

#include <ATen/core/Tensor.h>

namespace bissl::host {

/// Whether a backbone is trained along with the head behind it.
enum class BackboneIs { trained, frozen };

/// The outputs of a task's head for images (N, C, H, W), from one pass of the backbone: its
/// features, its feature maps or its tokens, whichever the task reads. A frozen backbone records
/// nothing; otherwise both keep to the gradient mode.
at::Tensor head_outputs(Backbone& backbone, Downstream& downstream, const at::Tensor& images,
                        BackboneIs backbone_is = BackboneIs::trained);

/// Throws Error(ErrorKind::input), which names the backbone, where it lacks what the task reads.
void require_readable(Backbone& backbone, Downstream& downstream);

}  // namespace bissl::host
