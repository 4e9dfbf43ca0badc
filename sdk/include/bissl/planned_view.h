#pragma once

#include "bissl/crops.h"
#include "bissl/export.h"
#include "bissl/image.h"
#include "bissl/random.h"
#include "bissl/view_geometry.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace bissl {

// On a GPU the host can make the views of a whole batch at once, of the pixels that a dataset hands
// out. For that an augmentation, or each step of a chain, says what it would do with an image: it
// draws what it always draws, and notes the operations in a PlannedView. Both abilities below are
// found by their identifiers (bissl/component.h). Without them views are made by apply().

/// One direction of a resampling, in the pixels of the image: the `length` ones from `begin` on
/// become `resized`, of which those from `first` on, `count` of them, are wanted.
struct PlannedAxis {
  int64_t begin = 0;    ///< the first pixel of the part
  int64_t length = 0;   ///< pixels of the part
  int64_t resized = 0;  ///< what the whole part becomes
  int64_t first = 0;    ///< the first one that is wanted of these
  int64_t count = 0;    ///< how many are wanted
};

/// A change of values or places behind the resampling.
struct PlannedChange {
  /// Which one, with its numbers. Those of one view are made in their order.
  enum class Kind {
    shift,       ///< rows down, columns to the right: whole numbers
    brightness,  ///< the factor
    contrast,    ///< the factor
    saturation,  ///< the factor
    hue,         ///< the part of the full circle
    grayscale,   ///< none
    blur,        ///< the kernel's size, a whole number; sigma
    solarize,    ///< the threshold
    normalize,   ///< the mean of each channel, then the standard deviation of each channel
  };
  Kind kind = Kind::shift;        ///< see there
  std::vector<double> numbers{};  ///< see Kind
};

/// What is to be made of one image: at most one resampling, then changes. The host makes it and
/// reads it. Its methods are called as, and do later what, the functions of the same name in
/// bissl/crops.h and bissl/image_operations.h do at once: arguments and results are theirs.
class BISSL_API PlannedView {
 public:
  /// The whole image, with values in 0 … 1. `image` has at least one value.
  explicit PlannedView(const ImageShape& image);

  /// Of the image.
  const ImageShape& image() const { return image_; }
  /// Of what has been planned so far.
  ImageShape shape() const { return {image_.channels, vertical_.count, horizontal_.count}; }

  /// Scales the part `box` of the image to the height and width of `output`. Throws
  /// Error(ErrorKind::run) behind any other method of these.
  ViewGeometry resized_crop(const Box& box, const ImageShape& output);
  /// Scales the shorter side to `size` and takes the middle of the longer one. Throws as
  /// resized_crop() does.
  ViewGeometry resize_and_center_crop(int64_t size);
  /// Takes a part of what is there. Throws Error(ErrorKind::run) behind a change other than a flip,
  /// and for a box that does not lie in shape().
  ViewGeometry crop(const Box& box);

  /// See bissl/image_operations.h.
  void flip_horizontal();
  /// See bissl/image_operations.h.
  void shift(int64_t down, int64_t right);
  /// See bissl/image_operations.h.
  void adjust_brightness(double factor);
  /// See bissl/image_operations.h.
  void adjust_contrast(double factor);
  /// See bissl/image_operations.h.
  void adjust_saturation(double factor);
  /// See bissl/image_operations.h.
  void adjust_hue(double shift);
  /// See bissl/image_operations.h.
  void convert_to_grayscale();
  /// See bissl/image_operations.h.
  void gaussian_blur(int64_t kernel_size, double sigma);
  /// See bissl/image_operations.h.
  void solarize(double threshold);
  /// See bissl/image_operations.h.
  void normalize(const std::vector<double>& mean, const std::vector<double>& std);

  /// Rows of the image that the view is made of.
  const PlannedAxis& vertical() const { return vertical_; }
  /// Columns of the image that the view is made of.
  const PlannedAxis& horizontal() const { return horizontal_; }
  /// Whether left and right are exchanged, before all changes.
  bool mirrored() const { return mirrored_; }
  /// In their order. A flip is none: it is taken before those that are planned earlier, which give
  /// the same in the other order, but for shifts, whose direction is turned.
  const std::vector<PlannedChange>& changes() const { return changes_; }

 private:
  void touch_first(const char* method);
  void add(PlannedChange::Kind kind, std::vector<double> numbers);

  ImageShape image_;
  PlannedAxis vertical_;
  PlannedAxis horizontal_;
  bool mirrored_ = false;
  bool touched_ = false;  ///< whether anything is planned
  std::vector<PlannedChange> changes_;
};

/// Of an augmentation whose views the host may make from plans. An instance that cannot do so for
/// its parameters has not got it.
class PlannedViews {
 public:
  static constexpr std::string_view id =
      "bissl.augmentation.planned/1";  ///< of this ability and revision

  /// Plans view number `view` of an image of shape planned.image(). Draws from `stream`, which is
  /// as Augmentation::apply() is given it, what apply() draws; afterwards planned.shape() is that
  /// of the view, and what is planned is what apply() makes, up to rounding. Returns what apply()
  /// returns. Threads: several at once.
  virtual ViewGeometry plan(int64_t view, RandomStream& stream, PlannedView& planned) const = 0;

 protected:
  ~PlannedViews() = default;
};

/// The same of a transform of one of the forms `pixels_to_planes`, `planes_in_place` and `planes`.
/// The host plans a chain if all its steps for single views have it, those of the form `planes`
/// directly behind the one that makes planes of pixels.
class PlannedStep {
 public:
  static constexpr std::string_view id =
      "bissl.transform.planned/1";  ///< of this ability and revision

  /// Adds to what is planned what Transform::apply() would do with it, with the same draws from
  /// `stream`; afterwards planned.shape() is output_shape() of the one before. Returns what apply()
  /// returns. Threads: several at once.
  virtual ViewGeometry plan(RandomStream& stream, PlannedView& planned) const = 0;

 protected:
  ~PlannedStep() = default;
};

}  // namespace bissl
