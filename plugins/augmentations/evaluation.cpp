#include "components.h"
#include "view_format.h"

#include "bissl/augmentation.h"
#include "bissl/crops.h"
#include "bissl/planned_view.h"

namespace bissl {
namespace {

/// The image as it is, scaled and cut to the size of the views. Nothing is random.
class Evaluation : public Augmentation, public PlannedViews {
 public:
  explicit Evaluation(const ViewFormatOptions& options)
      : resize_(options.size > 0), format_(options) {}

  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    return format_.shape(input);
  }

  bool takes(PixelType /*type*/) const override { return true; }

  void* capability(std::string_view id) override { return provide<PlannedViews>(*this, id); }

  ViewGeometry apply(const Image& image, int64_t /*view*/, RandomStream& /*stream*/,
                     std::span<float> output) const override {
    const Planes view = format_.planes(image.shape, output);
    const Box whole{0, 0, image.shape.height, image.shape.width};
    const ViewGeometry geometry =
        resize_ ? resize_and_center_crop(image, view) : resized_crop(image, whole, view);
    format_.normalize(view);
    return geometry;
  }

  ViewGeometry plan(int64_t /*view*/, RandomStream& /*stream*/,
                    PlannedView& planned) const override {
    const ImageShape shape = format_.shape(planned.image());
    const Box whole{0, 0, shape.height, shape.width};
    const ViewGeometry geometry =
        resize_ ? planned.resize_and_center_crop(shape.height) : planned.resized_crop(whole, shape);
    format_.normalize(planned);
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
