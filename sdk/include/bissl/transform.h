#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/image.h"
#include "bissl/random.h"
#include "bissl/view_geometry.h"

#include <cstdint>
#include <span>
#include <string>

namespace bissl {

/// One small step of a chain that makes a view: `augment = [ { use = "resized-crop", size = 96 },
/// { use = "flip" }, … ]`. A chain begins with the dataset's pixels and ends with float
/// planes. Implement one of the four interfaces below, by what the step takes and gives:
/// PixelTransform, PlaneMaker, PlaneTransform, PlaneReshaper.
///
/// What a transform makes is a pure function of its input and stream. Values of planes lie in
/// [0, 1] until a step (`normalize`) scales them otherwise.
/// Threads: after construction all methods are called from several threads at once.
class BISSL_API Transform : public Component {
 public:
  ~Transform() override;

  /// What a transform takes and gives.
  enum class Form {
    pixels,            ///< 8-bit pixels of 8-bit pixels
    pixels_to_planes,  ///< float planes of pixels of 8 or 16 bits
    planes_in_place,   ///< changes float planes where they are, and keeps their shape
    planes,            ///< float planes of float planes in other memory
  };
  /// Which of these; the same at each call.
  virtual Form form() const = 0;

  /// The shape of what is made of an input of shape `input`: the same, by default. Throws
  /// Error(ErrorKind::input) for an input that cannot be handled.
  virtual ImageShape output_shape(const ImageShape& input) const;

  /// Whether images with samples of this type are taken, by a form that takes pixels: those of 8
  /// bits, by default. The host passes no others, and refuses data of another type before
  /// training.
  virtual bool takes(PixelType type) const;

  /// What is given: pixels or planes, as the form says.
  struct Input {
    Image pixels;   ///< for the two forms that take pixels
    Planes planes;  ///< for the two others: to be changed in place, or to be read only
  };
  /// Where the result goes: room for output_shape() of the input.
  struct Output {
    std::span<uint8_t> pixels;  ///< of the form `pixels`; row by row, channels beside each other
    Planes planes;              ///< of the forms that give planes; in place those of the input
  };
  /// Writes the whole result. Draws from `stream` alone, which belongs to this step of this view.
  /// Returns where the result lies in the input.
  virtual ViewGeometry apply(const Input& input, RandomStream& stream,
                             const Output& output) const = 0;
};

/// "8-bit pixels", "pixels" or "float planes": what a transform of this form takes.
BISSL_API std::string taken_by(Transform::Form form);
/// The same for what it gives.
BISSL_API std::string given_by(Transform::Form form);

/// A step from 8-bit pixels to 8-bit pixels.
class PixelTransform : public Transform {
 public:
  Form form() const final { return Form::pixels; }
  bool takes(PixelType type) const final { return type == PixelType::uint8; }
  ViewGeometry apply(const Input& input, RandomStream& stream, const Output& output) const final {
    return make(input.pixels, stream, output.pixels);
  }

 protected:
  /// Writes all of `output` (output_shape(image.shape).elements() bytes), row by row, the channels
  /// of a pixel beside each other. Returns where that lies in the image.
  virtual ViewGeometry make(const Image& image, RandomStream& stream,
                            std::span<uint8_t> output) const = 0;
};

/// A step from pixels to float planes with values in [0, 1]. One that takes images of 16 bits, too,
/// overrides takes() and makes the same of them as of the 8-bit image with samples of 1/257
/// (bissl/crops.h does).
class PlaneMaker : public Transform {
 public:
  Form form() const final { return Form::pixels_to_planes; }
  ViewGeometry apply(const Input& input, RandomStream& stream, const Output& output) const final {
    return make(input.pixels, stream, output.planes);
  }

 protected:
  /// Writes all of `output`, which has the shape output_shape(image.shape). Returns where that lies
  /// in the image.
  virtual ViewGeometry make(const Image& image, RandomStream& stream, Planes output) const = 0;
};

/// A step that changes float planes where they are.
class PlaneTransform : public Transform {
 public:
  Form form() const final { return Form::planes_in_place; }
  /// The shape stays; override to refuse what cannot be handled.
  ImageShape output_shape(const ImageShape& input) const override { return input; }
  ViewGeometry apply(const Input& input, RandomStream& stream,
                     const Output& /*output*/) const final {
    return change(input.planes, stream);
  }

 protected:
  /// Changes the values in place. Returns where the result lies in what was there: `{}` unless it
  /// moves the content.
  virtual ViewGeometry change(Planes image, RandomStream& stream) const = 0;
};

/// A step from float planes to float planes of another shape.
class PlaneReshaper : public Transform {
 public:
  Form form() const final { return Form::planes; }
  ViewGeometry apply(const Input& input, RandomStream& stream, const Output& output) const final {
    return make(input.planes, stream, output.planes);
  }

 protected:
  /// Writes all of `output`, which has the shape output_shape(image.shape), and leaves `image`
  /// alone. Returns where the output lies in the image.
  virtual ViewGeometry make(const Planes& image, RandomStream& stream, Planes output) const = 0;
};

/// What the factory of a transform is given besides its options.
struct TransformContext {};

}  // namespace bissl
