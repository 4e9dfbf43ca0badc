#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/image.h"
#include "bissl/targets.h"

#include <cstdint>
#include <string>

namespace bissl {

/// One sample: an image and its target.
struct Sample {
  Image image;      ///< of 8 or 16 bits, see there
  Target target{};  ///< of the kind that targets() says
};

/// A source of images, with targets or without.
///
/// Threads: after construction all methods are called from several threads at once.
/// Errors: the constructor throws Error(ErrorKind::input) when a file is missing, cut short or
/// holds a target out of range; `get` may do so for data that is read late.
/// Cost: each process that uses the data makes one instance for each set of parameters, `check` and
/// the workers of a sweep included. Leave to `get` what takes long.
///
/// Choosing classes, a number of samples per class and the like is the host's work; it is the same
/// for every dataset.
class BISSL_API Dataset : public Component {
 public:
  ~Dataset() override;

  /// The number of samples, the same as long as the object lives.
  virtual int64_t size() const = 0;

  /// Sample `index` in 0 … size() − 1; the host passes no other. The same content each time,
  /// whatever was read before. Images may differ in size where the augmentation makes views of one.
  virtual Sample get(int64_t index) const = 0;

  /// The target of a sample, as `get` gives it. Override where that needs no decoding of the image:
  /// the host calls it for every sample, but for masks.
  virtual Target target(int64_t index) const;

  /// What the targets are. The same at each call.
  virtual TargetSpec targets() const = 0;

  /// A hash of the content (Hasher), targets and their names included: equal for equal data
  /// wherever it is on disk. The host calls it once for each instance and keeps the answer.
  virtual std::string fingerprint() const = 0;
};

/// What the factory of a dataset is given besides its options.
struct DatasetContext {};

}  // namespace bissl
