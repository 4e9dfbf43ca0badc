#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/image.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl {

/// One sample: an image and its class, or −1 where the data has no labels.
struct Sample {
  Image image;         ///< 8-bit, see there
  int64_t label = -1;  ///< a place in class_names()
};

/// A source of images, labelled or not.
///
/// Threads: after construction all methods are called from several threads at once.
/// Errors: the constructor throws Error(ErrorKind::input) when a file is missing, cut short or
/// holds a label out of range; `get` may do so for data that is read late.
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

  /// Sample `index` in 0 … size() − 1; the host asks for no other. The same content each time,
  /// whatever was read before. Images may differ in size where the augmentation makes views of one.
  virtual Sample get(int64_t index) const = 0;

  /// The label of a sample. Override where that needs no decoding of the image.
  virtual int64_t label(int64_t index) const;

  /// The names of the classes, in the order of their labels, none empty, no two alike; no names
  /// for unlabelled data. The same at each call.
  virtual std::vector<std::string> class_names() const = 0;

  /// A hash of the content (Hasher), labels and class names included: equal for equal data wherever
  /// it lies on disk. The host asks an instance once and keeps the answer.
  virtual std::string fingerprint() const = 0;
};

/// What the factory of a dataset is given besides its options.
struct DatasetContext {};

}  // namespace bissl
