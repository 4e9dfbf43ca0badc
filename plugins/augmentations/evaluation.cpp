#include "components.h"
#include "view_format.h"

#include "bissl/augmentation.h"
#include "bissl/crops.h"

namespace bissl {
namespace {

/// The image as it is, scaled and cut to the size of the views. Nothing is random.
class Evaluation : public Augmentation {
 public:
  explicit Evaluation(const ViewFormatOptions& options)
      : resize_(options.size > 0), format_(options) {}

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    return format_.shape(input);
  }

  bool takes(PixelType /*type*/) const override { return true; }

  ViewGeometry apply(const Image& image, int64_t /*view*/, RandomStream& /*stream*/,
                     std::span<float> output) const override {
    const Planes view = format_.planes(image.shape, output);
    const Box whole{0, 0, image.shape.height, image.shape.width};
    const ViewGeometry geometry =
        resize_ ? resize_and_center_crop(image, view) : resized_crop(image, whole, view);
    format_.normalize(view);
    return geometry;
  }

 private:
  bool resize_;
  ViewFormat format_;
};

}  // namespace

void add_evaluation(Registrar& registrar) {
  registrar.add<Augmentation, Evaluation>(
      {.name = "evaluation",
       .summary = "scales the shorter side to the size and takes the middle; nothing random",
       .source = ""},
      view_format_schema());
}

}  // namespace bissl
