#include "data/device_views.h"

#include "bissl/autocast.h"
#include "data/view_operations.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

namespace bissl::host {
namespace {

using RowSpan = std::span<const PlannedRow>;
using ChangeKind = PlannedChange::Kind;

/// Values of images, or of views, that are made at once.
constexpr int64_t part_values = int64_t{1} << 24;

/// A tensor of the processor that the device fetches by itself.
at::TensorOptions sendable(at::ScalarType type, const c10::Device& device) {
  return at::TensorOptions(type).pinned_memory(device.is_cuda());
}

at::Tensor sent(const at::Tensor& tensor, const c10::Device& device) {
  return tensor.to(at::TensorOptions(device), /*non_blocking=*/!device.is_cpu());
}

/// Room for one of several images or views.
struct Extent {
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;

  void include(const ImageShape& image) {
    channels = image.channels;
    height = std::max(height, image.height);
    width = std::max(width, image.width);
  }
  int64_t values() const { return channels * height * width; }
};

Extent extent_of(RowSpan rows) {
  Extent extent;
  for (const PlannedRow& row : rows) {
    extent.include(row.image.shape);
  }
  return extent;
}

/// How many of the rows are made at once: at least one.
size_t rows_at_once(RowSpan rows) {
  Extent image;
  Extent view;
  size_t count = 0;
  for (const PlannedRow& row : rows) {
    image.include(row.image.shape);
    for (const PlannedView& planned : row.views) {
      view.include(planned.shape());
    }
    const int64_t matrices = std::max(view.height * image.height, view.width * image.width);
    const int64_t most = std::max({image.values(), view.values(), matrices});
    if (count > 0 && static_cast<int64_t>(count + 1) * most > part_values) {
      break;
    }
    ++count;
  }
  return count;
}

/// The samples of a row of an image, as floats.
void write_unit_values(const Image& image, int64_t y, float* to) {
  const int64_t samples = image.shape.width * image.shape.channels;
  for (int64_t i = y * samples; i < (y + 1) * samples; ++i) {
    *to++ = image.type == PixelType::uint16 ? static_cast<float>(image.pixels16()[i]) / 65535.0F
                                            : static_cast<float>(image.pixels[i]) / 255.0F;
  }
}

/// The images in their upper left corners, (N, H, W, C): bytes, or floats in 0 … 1 where any image
/// has 16 bits. What lies beside them has no weight in any view, but must be finite.
at::Tensor side_by_side(RowSpan rows, const c10::Device& device) {
  const bool bytes = std::all_of(rows.begin(), rows.end(), [](const PlannedRow& row) {
    return row.image.type == PixelType::uint8;
  });
  const Extent extent = extent_of(rows);
  const int64_t channels = extent.channels;
  const std::array<int64_t, 4> shape = {static_cast<int64_t>(rows.size()), extent.height,
                                        extent.width, channels};
  const at::Tensor room = bytes ? at::empty(shape, sendable(at::kByte, device))
                                : at::zeros(shape, sendable(at::kFloat, device));
  int64_t line = 0;  // of all images, one below the other
  for (const PlannedRow& row : rows) {
    const int64_t length = row.image.shape.width * channels;
    for (int64_t y = 0; y < row.image.shape.height; ++y) {
      const int64_t place = (line + y) * extent.width * channels;
      if (bytes) {
        std::memcpy(room.data_ptr<uint8_t>() + place, row.image.pixels + y * length,
                    static_cast<size_t>(length));
      } else {
        write_unit_values(row.image, y, room.data_ptr<float>() + place);
      }
    }
    line += extent.height;
  }
  return sent(room, device);
}

/// One kind of change of some rows, with its place among the numbers that are sent.
struct Round {
  ChangeKind kind = ChangeKind::shift;
  int64_t begin = 0;    ///< the rows' places, then the numbers of each of them
  int64_t rows = 0;     ///< how many
  int64_t numbers = 0;  ///< of each row
  int64_t largest_kernel = 0;
};

/// What one view of all rows is made by: numbers, which are sent at once, and what they are for.
class Orders {
 public:
  Orders(RowSpan rows, size_t view) : rows_(rows), view_(view), done_(rows.size(), 0) {
    for (size_t i = 0; i < rows.size(); ++i) {
      add_axis(plan(i).vertical(), false);
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      add_axis(plan(i).horizontal(), plan(i).mirrored());
    }
    while (add_round()) {
    }
  }

  const std::vector<double>& numbers() const { return numbers_; }
  const std::vector<Round>& rounds() const { return rounds_; }

 private:
  const PlannedView& plan(size_t row) const { return rows_[row].views[view_]; }

  /// As resampled() takes it.
  void add_axis(const PlannedAxis& axis, bool mirrored) {
    const double scale = static_cast<double>(axis.length) / static_cast<double>(axis.resized);
    const int64_t start = mirrored ? axis.first + axis.count - 1 : axis.first;
    const auto place = static_cast<double>(start) + 0.5;
    numbers_.insert(numbers_.end(),
                    {static_cast<double>(axis.begin), static_cast<double>(axis.length), scale,
                     mirrored ? -1.0 : 1.0, place, 1.0 / std::max(scale, 1.0)});
  }

  /// The next change of a row; null behind the last.
  const PlannedChange* next(size_t row) const {
    const std::vector<PlannedChange>& changes = plan(row).changes();
    return done_[row] < changes.size() ? &changes[done_[row]] : nullptr;
  }

  /// Rows whose next change is of the same kind are changed together. Of several kinds that are
  /// next the one that recipes have first is taken, so that rows which leave some of them out wait
  /// for those that do not. Returns false where nothing is left.
  bool add_round() {
    const PlannedChange* first = nullptr;
    for (size_t row = 0; row < rows_.size(); ++row) {
      const PlannedChange* change = next(row);
      first =
          first == nullptr || (change != nullptr && change->kind < first->kind) ? change : first;
    }
    if (first == nullptr) {
      return false;
    }
    Round round{.kind = first->kind,
                .begin = static_cast<int64_t>(numbers_.size()),
                .rows = 0,
                .numbers = static_cast<int64_t>(first->numbers.size()),
                .largest_kernel = 0};
    std::vector<double> theirs;
    for (size_t row = 0; row < rows_.size(); ++row) {
      const PlannedChange* change = next(row);
      if (change != nullptr && change->kind == round.kind) {
        numbers_.push_back(static_cast<double>(row));
        theirs.insert(theirs.end(), change->numbers.begin(), change->numbers.end());
        if (round.kind == ChangeKind::blur) {
          round.largest_kernel =
              std::max(round.largest_kernel, static_cast<int64_t>(change->numbers.front()));
        }
        ++round.rows;
        ++done_[row];
      }
    }
    numbers_.insert(numbers_.end(), theirs.begin(), theirs.end());
    rounds_.push_back(round);
    return true;
  }

  RowSpan rows_;
  size_t view_;
  std::vector<size_t> done_;  ///< changes of each row that are in a round
  std::vector<double> numbers_;
  std::vector<Round> rounds_;
};

at::Tensor sent_numbers(const std::vector<double>& numbers, const c10::Device& device) {
  const at::Tensor room =
      at::empty({static_cast<int64_t>(numbers.size())}, sendable(at::kDouble, device));
  std::copy(numbers.begin(), numbers.end(), room.data_ptr<double>());
  return sent(room, device);
}

/// A matrix among the numbers.
at::Tensor matrix_in(const at::Tensor& numbers, int64_t begin, int64_t rows, int64_t columns) {
  return numbers.narrow(0, begin, rows * columns).view({rows, columns});
}

void take_round(const Round& round, const at::Tensor& numbers, const at::Tensor& images) {
  const at::Tensor theirs = matrix_in(numbers, round.begin + round.rows, round.rows, round.numbers);
  if (round.rows == images.size(0)) {
    change_images(round.kind, images, theirs, round.largest_kernel);
    return;
  }
  const at::Tensor places = numbers.narrow(0, round.begin, round.rows).to(at::kLong);
  const at::Tensor some = images.index_select(0, places);
  change_images(round.kind, some, theirs, round.largest_kernel);
  images.index_copy_(0, places, some);
}

/// One view of the rows whose images lie side by side.
void make_view(RowSpan rows, size_t view, const at::Tensor& images, const at::Tensor& to) {
  const Orders orders(rows, view);
  const at::Tensor numbers = sent_numbers(orders.numbers(), images.device());
  const auto count = static_cast<int64_t>(rows.size());
  const at::Tensor made = resampled(images, matrix_in(numbers, 0, count, axis_numbers),
                                    matrix_in(numbers, count * axis_numbers, count, axis_numbers),
                                    to.size(2), to.size(3));
  for (const Round& round : orders.rounds()) {
    take_round(round, numbers, made);
  }
  to.copy_(made);
}

}  // namespace

void make_views(const std::vector<PlannedRow>& rows, const Views& views) {
  const c10::Device device = views.front().device();
  const c10::NoGradGuard no_grad;
  const AutocastScope single(device.type(), {.enabled = false});
  const at::NoTF32Guard exact;
  for (size_t first = 0; first < rows.size();) {
    const RowSpan rest = RowSpan(rows).subspan(first);
    const RowSpan part = rest.first(rows_at_once(rest));
    const at::Tensor images = side_by_side(part, device);
    for (size_t view = 0; view < views.size(); ++view) {
      make_view(
          part, view, images,
          views[view].narrow(0, static_cast<int64_t>(first), static_cast<int64_t>(part.size())));
    }
    first += part.size();
  }
}

}  // namespace bissl::host
