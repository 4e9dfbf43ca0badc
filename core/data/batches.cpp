#include "data/batches.h"

#include "bissl/error.h"
#include "data/device_views.h"
#include "data/planned_views.h"
#include "data/target_batches.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

namespace bissl::host {
namespace {

/// How many epochs' orders are kept: enough for the loader's threads around an epoch's end.
constexpr size_t kept_orders = 4;

/// As Batch::geometry has it: of each row.
void write_geometry(const std::vector<ViewGeometry>& rows, const at::Tensor& geometry) {
  float* to = geometry.data_ptr<float>();
  for (const ViewGeometry& from : rows) {
    for (const double number : {from.xx, from.xy, from.x0, from.yx, from.yy, from.y0}) {
      *to++ = static_cast<float>(number);
    }
  }
}

/// Room for views of these shapes, neighbours of one shape in one buffer.
Views room_for(const std::vector<ImageShape>& shapes, int64_t samples,
               const at::TensorOptions& options) {
  Views views;
  for (size_t first = 0, end = 0; first < shapes.size(); first = end) {
    const ImageShape& shape = shapes[first];
    while (end < shapes.size() && shapes[end] == shape) {
      ++end;
    }
    const auto count = static_cast<int64_t>(end - first);
    const at::Tensor room =
        at::empty({count, samples, shape.channels, shape.height, shape.width}, options);
    for (int64_t view = 0; view < count; ++view) {
      views.push_back(room[view]);
    }
  }
  return views;
}

/// Calls make(), which hands an image of `data` to an augmentation. What is refused of 16-bit
/// images names their dataset.
template <class Make>
ViewGeometry with_origin(const Image& image, const DataView& data, const Make& make) {
  if (image.type == PixelType::uint8) {
    return make();
  }
  try {
    return make();
  } catch (const Error& error) {
    throw error.at(fmt::format("16-bit images of {}", data.origin()));
  }
}

/// Plans the views of an image of `data`, which are of these shapes; `stream_of(view)` is the
/// stream of each.
template <class StreamOf>
PlannedRow planned_row(const PlannedAugmentation& augmentation, const Image& image,
                       const std::vector<ImageShape>& shapes, const DataView& data,
                       const StreamOf& stream_of) {
  PlannedRow row{.image = image, .views = {}, .geometry = {}};
  for (size_t i = 0; i < shapes.size(); ++i) {
    const auto view = static_cast<int64_t>(i);
    RandomStream stream = stream_of(view);
    PlannedView planned(image.shape);
    row.geometry.push_back(
        with_origin(image, data, [&] { return augmentation.plan(image, view, stream, planned); }));
    const ImageShape found = planned.shape();
    if (found != shapes[i]) {
      fail_run(
          "view {} of {} was planned as {}x{}x{}, but the views have {}x{}x{}: what a component "
          "plans has to be what it makes",
          view, data.origin(), found.channels, found.height, found.width, shapes[i].channels,
          shapes[i].height, shapes[i].width);
    }
    row.views.push_back(std::move(planned));
  }
  return row;
}

}  // namespace

Batch converted_batch(const Batch& batch, const at::TensorOptions& options) {
  Batch result(converted(batch.views, options));
  const bool later = options.has_device() && !options.device().is_cpu();  // as in converted()
  result.targets = options.has_device() ? batch.targets.to(options.device()) : batch.targets;
  for (const at::Tensor& geometry : batch.geometry) {
    result.geometry.push_back(geometry.to(options, /*non_blocking=*/later));
  }
  result.indices = options.has_device() && batch.indices.defined()
                       ? batch.indices.to(at::TensorOptions(options.device()), later)
                       : batch.indices;
  return result;
}

BatchSource::BatchSource(std::shared_ptr<const DataView> data,
                         std::shared_ptr<const Augmentation> augmentation, std::string origin,
                         BatchOptions options)
    : data_(std::move(data)),
      augmentation_(std::move(augmentation)),
      origin_(std::move(origin)),
      options_(std::move(options)),
      order_purpose_(options_.purpose + "/order"),
      view_purpose_(options_.purpose + "/views") {
  first_image_ = data_->get(0).image.shape;
  view_shapes_ = shapes_of(first_image_);
  const auto* tails = dynamic_cast<const AugmentationWithTail*>(augmentation_.get());
  for (int64_t view = 0; tails != nullptr && view < options_.views; ++view) {
    tails_ = tails->has_tail(view) ? tails : tails_;
  }
  masks_wait_ = tails_ != nullptr && tails_->has_tail(0) && options_.targets &&
                data_->targets().kind == TargetKind::mask;
}

int64_t BatchSource::batches() const {
  return (data_->size() - 1) / options_.batch + 1;  // a batch may be near the largest integer
}

BatchSource::Position BatchSource::position(int64_t place) const {
  if (options_.order == Order::sequential) {
    return {0, place};
  }
  const int64_t epoch = place / data_->size();
  const int64_t within = place % data_->size();
  const std::lock_guard lock(orders_mutex_);
  auto found = std::find_if(orders_.begin(), orders_.end(),
                            [&](const auto& entry) { return entry.first == epoch; });
  if (found == orders_.end()) {
    if (orders_.size() == kept_orders) {
      orders_.erase(orders_.begin());
    }
    RandomStream stream(options_.seed, order_purpose_, static_cast<uint64_t>(epoch));
    orders_.emplace_back(
        epoch, std::make_shared<const std::vector<int64_t>>(permutation(stream, data_->size())));
    found = orders_.end() - 1;
  }
  return {epoch, (*found->second)[within]};
}

std::vector<ImageShape> BatchSource::shapes_of(const ImageShape& image) const {
  std::vector<ImageShape> shapes;
  for (int64_t view = 0; view < options_.views; ++view) {
    shapes.push_back(augmentation_->view_shape(image, view));
  }
  return shapes;
}

at::TensorOptions BatchSource::memory_of(at::ScalarType type) const {
  return at::TensorOptions(type).pinned_memory(options_.device.is_cuda());
}

Views BatchSource::make_room(int64_t samples) const {
  return room_for(view_shapes_, samples, memory_of(at::kFloat));
}

ViewGeometry BatchSource::make_view(const Image& image, int64_t view, RandomStream& stream,
                                    std::span<float> output) const {
  return with_origin(image, *data_, [&] {
    return tails_ != nullptr ? tails_->apply_head(image, view, stream, output)
                             : augmentation_->apply(image, view, stream, output);
  });
}

RandomStream BatchSource::stream_of(const Rows& rows, size_t row, int64_t view) const {
  const Position& position = rows.positions[row];
  return {options_.seed, rows.purpose, static_cast<uint64_t>(position.epoch),
          static_cast<uint64_t>(position.sample), static_cast<uint64_t>(view)};
}

void BatchSource::write_row(const Sample& sample, size_t row, Rows& rows, Batch& batch) const {
  const auto place = static_cast<int64_t>(row);
  // None where a device makes them afterwards.
  for (int64_t view = 0; view < static_cast<int64_t>(batch.views.size()); ++view) {
    RandomStream stream = stream_of(rows, row, view);
    const int64_t elements = view_shapes_[view].elements();
    rows.geometry[view][row] = make_view(
        sample.image, view, stream,
        {batch.views[view].data_ptr<float>() + place * elements, static_cast<size_t>(elements)});
  }
  if (masks_wait_) {
    rows.masks.push_back(sample.target);
  } else if (options_.targets) {
    write_target(data_->targets(), sample.target, rows.geometry[0][row], place, batch.targets);
  }
}

void BatchSource::apply_tails(Rows& rows, Batch& batch) const {
  batch.views = converted(batch.views, options_.device);
  const c10::NoGradGuard no_grad;
  for (int64_t view = 0; view < options_.views; ++view) {
    if (!tails_->has_tail(view)) {
      continue;
    }
    std::vector<RandomStream> streams;
    streams.reserve(rows.positions.size());
    for (size_t row = 0; row < rows.positions.size(); ++row) {
      streams.push_back(stream_of(rows, row, view));
    }
    tails_->apply_tail(batch.views[view], view, streams, rows.geometry[view]);
  }
  for (size_t row = 0; row < rows.masks.size(); ++row) {
    write_target(data_->targets(), rows.masks[row], rows.geometry[0][row],
                 static_cast<int64_t>(row), batch.targets);
  }
}

void BatchSource::require_shape(const Sample& sample, int64_t number) const {
  if (sample.image.shape != first_image_ && shapes_of(sample.image.shape) != view_shapes_) {
    fail_input("{}: sample {} of {}x{} pixels gives views of another shape than the first sample",
               origin_, number, sample.image.shape.height, sample.image.shape.width);
  }
}

void BatchSource::require_one_shape(int64_t most) const {
  const int64_t looked_at = std::min(most, samples());
  for (int64_t i = 0; i < looked_at; ++i) {
    // The last one is among them.
    const int64_t number = looked_at == samples() ? i : (i + 1) * samples() / looked_at - 1;
    const Sample sample = data_->get(number);
    require_shape(sample, number);
  }
}

Batch BatchSource::empty_batch(int64_t count) const {
  Batch batch;
  batch.indices = at::empty({count}, memory_of(at::kLong));
  if (options_.geometry) {
    for (size_t view = 0; view < view_shapes_.size(); ++view) {
      batch.geometry.push_back(at::empty({count, 2, 3}, memory_of(at::kFloat)));
    }
  }
  if (options_.targets) {
    batch.targets = empty_targets(data_->targets(), count, view_shape(), options_.device.is_cuda());
  }
  return batch;
}

Batch BatchSource::make(int64_t number, int64_t other_views) const {
  const int64_t first = number * options_.batch;
  const int64_t count = options_.order == Order::sequential
                            ? std::min(options_.batch, data_->size() - first)
                            : options_.batch;
  const PlannedAugmentation* planned =
      planned_augmentation(*augmentation_, options_.views, options_.device);
  std::vector<PlannedRow> plans;
  Batch batch = empty_batch(count);
  if (planned == nullptr) {
    batch.views = make_room(count);
  }
  Rows rows;
  rows.purpose =
      other_views == 0 ? view_purpose_ : fmt::format("{}#{}", view_purpose_, other_views);
  rows.geometry.assign(view_shapes_.size(), std::vector<ViewGeometry>(static_cast<size_t>(count)));
  for (int64_t i = 0; i < count; ++i) {
    rows.positions.push_back(position(first + i));
    const int64_t sample_number = rows.positions.back().sample;
    const Sample sample = data_->get(sample_number);
    require_shape(sample, sample_number);
    batch.indices.data_ptr<int64_t>()[i] = sample_number;
    const auto row = static_cast<size_t>(i);
    if (planned != nullptr) {
      plans.push_back(planned_row(*planned, sample.image, view_shapes_, *data_,
                                  [&](int64_t view) { return stream_of(rows, row, view); }));
      for (size_t view = 0; view < view_shapes_.size(); ++view) {
        rows.geometry[view][row] = plans.back().geometry[view];
      }
    }
    write_row(sample, row, rows, batch);
  }
  if (planned != nullptr) {
    batch.views =
        room_for(view_shapes_, count, at::TensorOptions(at::kFloat).device(options_.device));
    make_views(plans, batch.views);
  }
  if (tails_ != nullptr) {
    apply_tails(rows, batch);
  }
  for (size_t view = 0; view < batch.geometry.size(); ++view) {
    write_geometry(rows.geometry[view], batch.geometry[view]);
  }
  return converted_batch(batch, options_.device);
}

}  // namespace bissl::host
