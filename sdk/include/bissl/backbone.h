#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/image.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace torch::nn {
class Module;
}

namespace bissl {

/// The network whose weights are learnt: images to features.
///
/// The host makes clones by calling the factory again and copying parameters and buffers by name,
/// so the factory must build the same module each time. Initial weights come from LibTorch's
/// default generator, which the host seeds before it calls the factory.
///
/// `forward` must be twice differentiable in training mode. Threads: one at a time.
class BISSL_API Backbone : public Component {
 public:
  ~Backbone() override;

  /// (N, C, H, W) → (N, features()). Training or evaluation mode is that of module().
  virtual at::Tensor forward(const at::Tensor& images) = 0;

  /// D, the width of the features.
  virtual int64_t features() const = 0;

  /// Holds all parameters and buffers. Names are part of the exported weights: use torchvision's
  /// where the architecture is one of its.
  virtual torch::nn::Module& module() = 0;
};

/// What the factory of a backbone is given besides its options.
struct BackboneContext {
  ImageShape input;  ///< the shape of the views
};

}  // namespace bissl
