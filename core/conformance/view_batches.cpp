#include "bissl/batch_transform.h"
#include "conformance/surroundings.h"
#include "conformance/view_checks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using Samples = std::vector<int64_t>;

/// A batch that was changed, and where its rows were moved to.
struct ChangedBatch {
  at::Tensor images;
  std::vector<ViewGeometry> moved;
};

/// Writes values in 0 … 1 that look random.
void write_sample(int64_t sample, float* values, int64_t count) {
  RandomStream stream(11, "conformance/batch", 0, static_cast<uint64_t>(sample));
  std::generate_n(values, count, [&] { return static_cast<float>(stream.uniform()); });
}

/// A batch of these samples, changed by `change`.
template <class Change>
ChangedBatch changed_by(const ImageShape& shape, const Samples& samples, const Change& change) {
  const auto rows = static_cast<int64_t>(samples.size());
  const at::Tensor given = at::empty({rows, shape.channels, shape.height, shape.width}, at::kFloat);
  // The same memory, with a shape of its own.
  ChangedBatch result{given.detach(), std::vector<ViewGeometry>(samples.size())};
  std::vector<RandomStream> streams;
  for (size_t row = 0; row < samples.size(); ++row) {
    write_sample(samples[row],
                 given.data_ptr<float>() + static_cast<int64_t>(row) * shape.elements(),
                 shape.elements());
    streams.push_back(stream_of(static_cast<uint64_t>(samples[row]), 0));
  }
  change(given, BatchDraws{.samples = streams}, std::span<ViewGeometry>(result.moved));
  require(given.data_ptr() == result.images.data_ptr() && given.sizes() == result.images.sizes() &&
              given.strides() == result.images.strides() && given.scalar_type() == at::kFloat,
          "change() gives a batch of {} views of {} another shape, type or memory: write into the "
          "memory that is there, as copy_() does",
          rows, to_text(shape));
  return result;
}

/// The same by change(), which must draw from the streams alone.
ChangedBatch change_batch(const BatchViews& views, const ImageShape& shape,
                          const Samples& samples) {
  return changed_by(
      shape, samples,
      [&](const at::Tensor& images, const BatchDraws& draws, std::span<ViewGeometry> moved) {
        require_no_draws("change()", Generators::all, [&] {
          const c10::NoGradGuard no_grad;
          views.change(images, draws, moved);
        });
      });
}

/// A sample by itself, changed by apply().
ChangedBatch change_single(const Transform& transform, const ImageShape& shape, int64_t sample) {
  ChangedBatch result{at::empty({1, shape.channels, shape.height, shape.width}, at::kFloat), {}};
  auto* const values = result.images.data_ptr<float>();
  write_sample(sample, values, shape.elements());
  RandomStream stream = stream_of(static_cast<uint64_t>(sample), 0);
  const Planes planes{shape, values};
  result.moved.push_back(
      transform.apply({.pixels = {}, .planes = planes}, stream, {.pixels = {}, .planes = planes}));
  return result;
}

bool same_place(const ViewGeometry& a, const ViewGeometry& b) {
  const auto near = [](double x, double y) { return std::abs(x - y) <= 1e-6 * (1 + std::abs(y)); };
  return near(a.xx, b.xx) && near(a.xy, b.xy) && near(a.x0, b.x0) && near(a.yx, b.yx) &&
         near(a.yy, b.yy) && near(a.y0, b.y0);
}

/// `how` says how the other batch came about.
void require_same_row(const ChangedBatch& batch, int64_t row, const ChangedBatch& other,
                      int64_t other_row, const char* how) {
  const at::Tensor expected = other.images[other_row];
  const double difference = (batch.images[row] - expected).abs().max().item<double>();
  // Written so that NaN is a difference.
  require(difference <= 1e-6 * (1 + expected.abs().max().item<double>()),
          "row {} of a batch of {} differs by {:.2g} from what {}: let each row depend on itself "
          "and on its own stream, draws.samples[i], alone",
          row, batch.images.size(0), difference, how);
  require(same_place(batch.moved[static_cast<size_t>(row)],
                     other.moved[static_cast<size_t>(other_row)]),
          "moved[{}] of a batch of {} differs from that of what {}: say of each row where it lies "
          "in what was there",
          row, batch.images.size(0), how);
}

/// Batches that several threads change at once, of two sizes, come out as they do by themselves.
void check_batches_in_threads(const BatchViews& views, const ImageShape& shape) {
  constexpr size_t calls = 100;
  const std::vector<Samples> batches = {{0, 1, 2, 3}, {4, 5}, {2, 0, 5, 1}, {3}};
  std::vector<at::Tensor> expected;
  for (const Samples& samples : batches) {
    expected.push_back(change_batch(views, shape, samples).images);
  }
  require_in_threads([&](size_t thread) -> std::string {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < calls; ++i) {
      const size_t batch = (i + thread) % batches.size();
      const ChangedBatch found =
          changed_by(shape, batches[batch],
                     [&](const at::Tensor& images, const BatchDraws& draws,
                         std::span<ViewGeometry> moved) { views.change(images, draws, moved); });
      const double difference = (found.images - expected[batch]).abs().max().item<double>();
      // Written so that NaN is a difference.
      if (!(difference <= 1e-5 * (1 + expected[batch].abs().max().item<double>()))) {
        return fmt::format(
            "change() of a batch of {} came out different; share no memory between "
            "calls",
            batches[batch].size());
      }
    }
    return "";
  });
}

void check_batches_of(const Transform& transform, const BatchViews& views,
                      const ImageShape& shape) {
  constexpr int64_t rows = 5;
  const ChangedBatch batch = change_batch(views, shape, {0, 1, 2, 3, 4});
  const ChangedBatch reversed = change_batch(views, shape, {4, 3, 2, 1, 0});
  for (int64_t row = 0; row < rows; ++row) {
    require_same_row(batch, row, change_batch(views, shape, {row}), 0,
                     "change() makes of it in a batch of one");
    require_same_row(batch, row, reversed, rows - 1 - row,
                     "change() makes of it among the same rows in another order");
    require_same_row(batch, row, change_single(transform, shape, row), 0, "apply() makes of it");
  }
}

}  // namespace

void check_whole_batches(const Checker& checker, const std::vector<ImageShape>& accepted) {
  const auto transform = checker.make<Transform>();
  const auto* views = bissl::capability<BatchViews>(*transform);
  if (views == nullptr) {
    throw NotApplicable("it changes single views alone");
  }
  require(transform->form() == Transform::Form::planes_in_place,
          "it has the ability {}, but does not change float planes where they are: derive it from "
          "BatchTransform",
          BatchViews::id);
  check_batches_of(*transform, *views, accepted.front());
  check_batches_in_threads(*views, accepted.front());
  const auto oblong = std::find_if(accepted.begin(), accepted.end(), [](const ImageShape& shape) {
    return shape.height != shape.width && shape.elements() < 10000;
  });
  if (oblong != accepted.end()) {
    check_batches_of(*transform, *views, *oblong);
  }
}

}  // namespace bissl::host
