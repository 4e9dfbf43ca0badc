#include "models/second_backbone.h"

#include "bissl/error.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <torch/nn/module.h>

#include <utility>

namespace bissl::host {

SecondBackbones::SecondBackbones(Backbone& student, std::function<std::shared_ptr<Backbone>()> make)
    : source_(std::make_shared<Source>(Source{student, std::move(make)})) {}

std::function<std::shared_ptr<Backbone>()> SecondBackbones::maker() const {
  return [weak = std::weak_ptr<const Source>(source_)] {
    const auto source = weak.lock();
    if (!source) {
      fail_run(
          "make_backbone was called after the factory had returned. Names and shapes are fixed "
          "then: make the second backbone in the factory");
    }
    const EvaluationGuard generator_as_it_was({}, 0);
    auto backbone = source->make();
    copy_state(source->student.module(), backbone->module());
    set_training(backbone->module(), true);
    for (const at::Tensor& parameter : backbone->module().parameters()) {
      parameter.requires_grad_(false);
    }
    return backbone;
  };
}

}  // namespace bissl::host
