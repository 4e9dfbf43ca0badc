#include "components.h"
#include "view_format.h"

#include "bissl/augmentation.h"
#include "bissl/crops.h"

#include <memory>

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

void register_evaluation(Registrar& registrar) {
  registrar.add<Augmentation, Evaluation>(
      {"evaluation", "scales the shorter side to the size and takes the middle; nothing random",
       ""},
      view_format_schema());
}

}  // namespace bissl
