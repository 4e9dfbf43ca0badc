#include "data/batches.h"

#include "bissl/error.h"
#include "data/target_batches.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <iterator>

namespace bissl::host {
namespace {

/// How many epochs' orders are kept: enough for the loader's threads around an epoch's end.
constexpr size_t kept_orders = 4;

/// As Batch::geometry has it.
void write_geometry(const ViewGeometry& from, const at::Tensor& geometry, int64_t place) {
  float* const to = geometry.data_ptr<float>() + place * 6;
  const double numbers[] = {from.xx, from.xy, from.x0, from.yx, from.yy, from.y0};
  std::transform(std::begin(numbers), std::end(numbers), to,
                 [](double number) { return static_cast<float>(number); });
}

}  // namespace

Batch converted_batch(const Batch& batch, const at::TensorOptions& options) {
  Batch result(converted(batch.views, options));
  result.targets = options.has_device() ? batch.targets.to(options.device()) : batch.targets;
  for (const at::Tensor& geometry : batch.geometry) {
    result.geometry.push_back(geometry.to(options));
  }
  result.indices = options.has_device() && batch.indices.defined()
                       ? batch.indices.to(options.device())
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

Views BatchSource::make_room(int64_t samples) const {
  Views views;
  for (size_t first = 0, end = 0; first < view_shapes_.size(); first = end) {
    const ImageShape& shape = view_shapes_[first];
    while (end < view_shapes_.size() && view_shapes_[end] == shape) {
      ++end;
    }
    const auto count = static_cast<int64_t>(end - first);
    const at::Tensor room =
        at::empty({count, samples, shape.channels, shape.height, shape.width}, at::kFloat);
    for (int64_t view = 0; view < count; ++view) {
      views.push_back(room[view]);
    }
  }
  return views;
}

ViewGeometry BatchSource::make_view(const Image& image, int64_t view, RandomStream& stream,
                                    std::span<float> output) const {
  if (image.type == PixelType::uint8) {
    return augmentation_->apply(image, view, stream, output);
  }
  try {
    return augmentation_->apply(image, view, stream, output);
  } catch (const Error& error) {
    throw error.at(fmt::format("16-bit images of {}", data_->origin()));
  }
}

ViewGeometry BatchSource::write_views(const std::string& purpose, const Position& position,
                                      const Sample& sample, int64_t place, Batch& batch) const {
  ViewGeometry first;
  for (int64_t view = 0; view < options_.views; ++view) {
    RandomStream stream(options_.seed, purpose, static_cast<uint64_t>(position.epoch),
                        static_cast<uint64_t>(position.sample), static_cast<uint64_t>(view));
    const int64_t elements = view_shapes_[view].elements();
    const ViewGeometry geometry = make_view(
        sample.image, view, stream,
        {batch.views[view].data_ptr<float>() + place * elements, static_cast<size_t>(elements)});
    if (view == 0) {
      first = geometry;
    }
    if (options_.geometry) {
      write_geometry(geometry, batch.geometry[view], place);
    }
  }
  return first;
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

Batch BatchSource::make(int64_t number, int64_t other_views) const {
  const std::string purpose =
      other_views == 0 ? view_purpose_ : fmt::format("{}#{}", view_purpose_, other_views);
  const int64_t first = number * options_.batch;
  const int64_t count = options_.order == Order::sequential
                            ? std::min(options_.batch, data_->size() - first)
                            : options_.batch;
  Batch batch;
  batch.views = make_room(count);
  batch.indices = at::empty({count}, at::kLong);
  if (options_.geometry) {
    for (size_t view = 0; view < view_shapes_.size(); ++view) {
      batch.geometry.push_back(at::empty({count, 2, 3}, at::kFloat));
    }
  }
  if (options_.targets) {
    batch.targets = empty_targets(data_->targets(), count, view_shape());
  }
  for (int64_t i = 0; i < count; ++i) {
    const Position place = position(first + i);
    const Sample sample = data_->get(place.sample);
    require_shape(sample, place.sample);
    batch.indices.data_ptr<int64_t>()[i] = place.sample;
    const ViewGeometry geometry = write_views(purpose, place, sample, i, batch);
    if (options_.targets) {
      write_target(data_->targets(), sample.target, geometry, i, batch.targets);
    }
  }
  return converted_batch(batch, options_.device);
}

}  // namespace bissl::host
