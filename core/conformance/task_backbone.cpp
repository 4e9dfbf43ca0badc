#include "conformance/task_backbone.h"

#include "base/exception_text.h"
#include "bissl/error.h"
#include "conformance/samples.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <utility>

namespace bissl::host {
namespace {

/// The first shape that the factory and a pass accept.
ImageShape accepted_input(const ComponentChoice& choice) {
  std::vector<ImageShape> shapes = {sample_input};
  shapes.insert(shapes.end(), image_shapes().begin(), image_shapes().end());
  std::string reason;
  for (const ImageShape& shape : shapes) {
    try {
      const c10::NoGradGuard no_grad;
      choice.create<Backbone>({shape})->forward(
          at::zeros({2, shape.channels, shape.height, shape.width}));
      return shape;
    } catch (const std::exception& exception) {
      reason = exception_text(exception);
    }
  }
  fail_input("--backbone {}: it takes images of none of the usual shapes; the last said: {}",
             choice.component->info.text.name, reason);
}

}  // namespace

TaskBackbone::TaskBackbone() : input_(sample_input) {}

TaskBackbone::TaskBackbone(ComponentChoice choice)
    : choice_(std::move(choice)), input_(accepted_input(*choice_)) {}

std::shared_ptr<Backbone> TaskBackbone::make(uint64_t seed) const {
  if (!choice_) {
    return sample_backbone(at::kFloat, seed);
  }
  seed_generator(seed);
  auto backbone = choice_->create<Backbone>({input_});
  set_training(backbone->module(), true);
  return backbone;
}

std::string TaskBackbone::name() const {
  return choice_ ? choice_->describe()
                 : "the small backbone that bissl conform tries tasks with (--backbone NAME names "
                   "another)";
}

}  // namespace bissl::host
