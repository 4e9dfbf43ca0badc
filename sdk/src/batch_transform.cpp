#include "bissl/batch_transform.h"

#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

namespace bissl {

BatchTransform::~BatchTransform() = default;

void* BatchTransform::capability(std::string_view id) { return provide<BatchViews>(*this, id); }

ViewGeometry BatchTransform::apply(const Input& input, RandomStream& stream,
                                   const Output& /*output*/) const {
  const c10::NoGradGuard no_grad;
  const auto [channels, height, width] = input.planes.shape;
  const at::Tensor image =
      at::from_blob(input.planes.data, {1, channels, height, width}, at::kFloat);
  ViewGeometry moved;
  change(image, {.samples = {&stream, 1}}, {&moved, 1});
  return moved;
}

}  // namespace bissl
