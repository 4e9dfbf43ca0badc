#pragma once

#include "bissl/augmentation.h"
#include "bissl/batch.h"
#include "data/augmentation_with_tail.h"
#include "data/selection.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace bissl::host {

/// A batch with its numbers in another type or on another device, as bissl::converted converts
/// views. Targets and indices keep their type.
Batch converted_batch(const Batch& batch, const at::TensorOptions& options);

/// In which order a BatchSource goes through its data.
enum class Order {
  shuffled,    ///< epoch after epoch, each in a new random order, without end
  sequential,  ///< once, in the data's own order; the last batch may be smaller
};

struct BatchOptions {
  int64_t batch = 1;  ///< samples in a batch
  int64_t views = 1;  ///< views of each sample
  Order order = Order::shuffled;
  uint64_t seed = 0;
  /// Keeps the random streams of different uses apart: "pretrain", "bissl/lower", …
  std::string purpose{};
  bool targets = true;             ///< whether targets are handed out, where the data has any
  bool geometry = false;           ///< whether to tell where views lie in their images
  c10::Device device = c10::kCPU;  ///< where batches are handed out
};

/// Makes batches by number. Batch b of a shuffled source holds positions b·N … (b+1)·N − 1 of the
/// endless sequence of shuffled epochs: every batch is full, each sample comes once an epoch, and
/// where to continue after an interruption follows from the number alone. A batch's content is a
/// function of the options and its number. Safe for use by several threads.
///
/// Views of an augmentation with a tail (AugmentationWithTail) get it on the device of the options,
/// all rows at once, with the draws that each sample has by itself.
///
/// A GPU's batches are made in pinned memory, which it fetches them from by itself: make() queues
/// that on the calling thread's stream, and what the same stream does next finds them there.
class BatchSource {
 public:
  /// `augmentation` names itself in its errors; `origin` says where it is asked for. Throws
  /// Error(ErrorKind::input) when the views of the first sample cannot be made.
  BatchSource(std::shared_ptr<const DataView> data,
              std::shared_ptr<const Augmentation> augmentation, std::string origin,
              BatchOptions options);

  /// The batch of this number, on the device of the options. Neighbouring views of one shape lie in
  /// one buffer. `other_views` of more than 0: the same samples with views of their own for each
  /// such number.
  Batch make(int64_t number, int64_t other_views = 0) const;

  /// Throws Error(ErrorKind::input) unless images give views of one shape: looks at up to `most`
  /// of them, spread evenly over the data.
  void require_one_shape(int64_t most) const;

  /// Batches of a sequential source.
  int64_t batches() const;
  /// Samples in the data.
  int64_t samples() const { return data_->size(); }
  /// Of the first view, for which a backbone is made.
  const ImageShape& view_shape() const { return view_shapes_.front(); }
  const std::vector<ImageShape>& view_shapes() const { return view_shapes_; }
  const DataView& data() const { return *data_; }
  /// Where batches are handed out.
  const c10::Device& device() const { return options_.device; }

 private:
  struct Position {
    int64_t epoch;
    int64_t sample;
  };
  /// The rows of a batch while their views are made.
  struct Rows {
    std::string purpose;                              ///< of the views' random streams
    std::vector<Position> positions;                  ///< of each row
    std::vector<std::vector<ViewGeometry>> geometry;  ///< of each view: that of each row
    std::vector<Target> masks;  ///< those that wait for a first view with a tail; or empty
  };
  Position position(int64_t place) const;
  std::vector<ImageShape> shapes_of(const ImageShape& image) const;
  void require_shape(const Sample& sample, int64_t number) const;
  Views make_room(int64_t samples) const;
  /// Where a batch is written before it is taken to its device.
  at::TensorOptions memory_of(at::ScalarType type) const;
  /// One of `count` samples, in which nothing is written.
  Batch empty_batch(int64_t count) const;
  RandomStream stream_of(const Rows& rows, size_t row, int64_t view) const;
  /// Without a tail. What an augmentation refuses of 16-bit images names their dataset.
  ViewGeometry make_view(const Image& image, int64_t view, RandomStream& stream,
                         std::span<float> output) const;
  /// The views, without their tails, and the target of a row, unless that waits for them.
  void write_row(const Sample& sample, size_t row, Rows& rows, Batch& batch) const;
  /// Takes the views to their device, applies their tails, and writes what waited for them.
  void apply_tails(Rows& rows, Batch& batch) const;

  std::shared_ptr<const DataView> data_;
  std::shared_ptr<const Augmentation> augmentation_;
  const AugmentationWithTail* tails_ = nullptr;  ///< the same where any of the views has a tail
  bool masks_wait_ = false;                      ///< whether masks are written after the tails
  std::string origin_;
  BatchOptions options_;
  ImageShape first_image_;
  std::vector<ImageShape> view_shapes_;
  std::string order_purpose_;
  std::string view_purpose_;
  // The orders of the epochs last asked for; a batch touches at most a few.
  mutable std::mutex orders_mutex_;
  mutable std::vector<std::pair<int64_t, std::shared_ptr<const std::vector<int64_t>>>> orders_;
};

}  // namespace bissl::host
