#pragma once

#include "bissl/dataset.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl {

/// What MemoryImages holds.
struct ImageBlock {
  ImageShape shape;                      ///< of every image
  std::vector<uint8_t> pixels;           ///< of all images, each as Image has them
  std::vector<uint8_t> labels;           ///< one an image, each below the number of class names
  std::vector<std::string> class_names;  ///< distinct
};

/// Labelled images of one size in memory, handed out without copying.
class MemoryImages : public Dataset {
 public:
  /// The block is sound: whoever reads it checks it and names its file.
  explicit MemoryImages(ImageBlock block);

  int64_t size() const override { return static_cast<int64_t>(block_.labels.size()); }
  Sample get(int64_t index) const override;
  Target target(int64_t index) const override;
  TargetSpec targets() const override {
    return TargetSpec::named(TargetKind::category, block_.class_names);
  }
  /// Of pixels, labels and names, so equal for one content in whatever format it was stored.
  std::string fingerprint() const override { return fingerprint_; }

 private:
  ImageBlock block_;
  std::string fingerprint_;
};

/// The order of pixels within a channel.
enum class PixelOrder { rows, columns };

/// An image whose channels are stored one after the other, as Image has it: `from` and `to` have
/// shape.elements() bytes and do not overlap.
void interleave(const uint8_t* from, const ImageShape& shape, PixelOrder order, uint8_t* to);

/// Fails (Error(ErrorKind::run)) unless `index` is in 0 … size − 1.
void check_index(int64_t index, int64_t size);

}  // namespace bissl
