#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/random.h"
#include "bissl/transform.h"
#include "bissl/view_geometry.h"

#include <ATen/core/Tensor.h>

#include <span>
#include <string_view>

namespace bissl {

/// What the views of a batch are changed by chance with. The host makes it.
struct BatchDraws {
  /// One for each row: the stream that Transform::apply is given for that sample by itself.
  std::span<RandomStream> samples;
};

/// Of a transform of the form `planes_in_place` that changes the views of a whole batch at once, on
/// the device of the stage. Where batches are made the host calls change() and never apply(), so
/// both must give the same. Such steps are the last of their chain: behind one there are only
/// others with this ability.
class BatchViews {
 public:
  static constexpr std::string_view id =
      "bissl.transform.batch/1";  ///< of this ability and revision

  /// Changes `images`, (N, C, H, W), N ≥ 1, float32 and contiguous, where they are: by operations
  /// that write into their memory (mul_, copy_, …) and keep shape and type. Values are those of
  /// planes (bissl/transform.h). Gradients are not recorded.
  ///
  /// Row i of the result is a function of row i and draws.samples[i] alone: neither of the other
  /// rows, nor of their number, nor of i, nor of LibTorch's generator. moved[i] says where the new
  /// row i lies in what was there, and is `{}` at first.
  ///
  /// Threads: called from several at once, as all methods of a transform.
  virtual void change(const at::Tensor& images, const BatchDraws& draws,
                      std::span<ViewGeometry> moved) const = 0;

 protected:
  ~BatchViews() = default;
};

/// A step that changes the views of a batch where they are: implement change(), and output_shape()
/// to refuse what cannot be handled. A single image, as in a preview, is a batch of one.
///
/// One with more abilities lists this one beside them:
/// `void* capability(std::string_view id) override { return provide<BatchViews, PlaneValues>(*this,
/// id); }`.
class BISSL_API BatchTransform : public Transform, public BatchViews {
 public:
  ~BatchTransform() override;

  Form form() const final { return Form::planes_in_place; }
  void* capability(std::string_view id) override;
  /// Calls change() with a batch of one, without gradients.
  ViewGeometry apply(const Input& input, RandomStream& stream, const Output& output) const final;
};

}  // namespace bissl
