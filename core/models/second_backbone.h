#pragma once

#include "bissl/backbone.h"

#include <functional>
#include <memory>

namespace bissl::host {

/// What PretextContext::make_backbone is made of: further instances with a student's weights. They
/// can be asked for as long as this lives; later calls fail with an Error(run) that says why.
class SecondBackbones {
 public:
  /// `make` gives an instance like `student`, on its device; its weights do not matter.
  SecondBackbones(Backbone& student, std::function<std::shared_ptr<Backbone>()> make);

  /// Each call gives a new instance with the student's parameters and buffers, in training mode and
  /// without parameters that require gradients. LibTorch's generator is left as it was.
  std::function<std::shared_ptr<Backbone>()> maker() const;

 private:
  struct Source {
    Backbone& student;
    std::function<std::shared_ptr<Backbone>()> make;
  };
  std::shared_ptr<const Source> source_;
};

}  // namespace bissl::host
