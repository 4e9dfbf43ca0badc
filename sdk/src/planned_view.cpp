#include "bissl/planned_view.h"

#include "bissl/error.h"
#include "resampling_axes.h"

#include <utility>

namespace bissl {
namespace {

using Kind = PlannedChange::Kind;

PlannedAxis planned(int64_t begin, const Axis& axis) {
  return {begin, axis.length, axis.resized, axis.first, axis.count};
}

Axis whole_axis(int64_t length, int64_t resized) { return {length, resized, 0, resized}; }

}  // namespace

PlannedView::PlannedView(const ImageShape& image)
    : image_(image),
      vertical_(planned(0, whole_axis(image.height, image.height))),
      horizontal_(planned(0, whole_axis(image.width, image.width))) {}

ViewGeometry PlannedView::resized_crop(const Box& box, const ImageShape& output) {
  touch_first("resized_crop");
  const Axis vertical = whole_axis(box.height, output.height);
  const Axis horizontal = whole_axis(box.width, output.width);
  vertical_ = planned(box.top, vertical);
  horizontal_ = planned(box.left, horizontal);
  return geometry_of(box, vertical, horizontal);
}

ViewGeometry PlannedView::resize_and_center_crop(int64_t size) {
  touch_first("resize_and_center_crop");
  const Axis vertical = centered_axis(image_.height, image_.width, size);
  const Axis horizontal = centered_axis(image_.width, image_.height, size);
  vertical_ = planned(0, vertical);
  horizontal_ = planned(0, horizontal);
  return geometry_of({0, 0, image_.height, image_.width}, vertical, horizontal);
}

ViewGeometry PlannedView::crop(const Box& box) {
  const ImageShape now = shape();
  if (!changes_.empty()) {
    fail_run("crop() of a planned view comes behind a change of values or a shift: plan it first");
  }
  if (box.top < 0 || box.left < 0 || box.height < 1 || box.width < 1 ||
      box.top + box.height > now.height || box.left + box.width > now.width) {
    fail_run(
        "crop() of a planned view takes {}x{} pixels (height, width) from row {} and column {} on, "
        "but the view has {}x{}",
        box.height, box.width, box.top, box.left, now.height, now.width);
  }
  touched_ = true;
  vertical_.first += box.top;
  vertical_.count = box.height;
  horizontal_.first += mirrored_ ? now.width - box.left - box.width : box.left;
  horizontal_.count = box.width;
  return {.x0 = static_cast<double>(box.left), .y0 = static_cast<double>(box.top)};
}

void PlannedView::flip_horizontal() {
  touched_ = true;
  mirrored_ = !mirrored_;
  for (PlannedChange& change : changes_) {
    if (change.kind == Kind::shift) {
      change.numbers[1] = -change.numbers[1];
    }
  }
}

void PlannedView::shift(int64_t down, int64_t right) {
  add(Kind::shift, {static_cast<double>(down), static_cast<double>(right)});
}

void PlannedView::adjust_brightness(double factor) { add(Kind::brightness, {factor}); }

void PlannedView::adjust_contrast(double factor) { add(Kind::contrast, {factor}); }

void PlannedView::adjust_saturation(double factor) {
  if (image_.channels > 1) {
    add(Kind::saturation, {factor});
  }
}

void PlannedView::adjust_hue(double shift) {
  if (image_.channels > 1) {
    add(Kind::hue, {shift});
  }
}

void PlannedView::convert_to_grayscale() {
  if (image_.channels > 1) {
    add(Kind::grayscale, {});
  }
}

void PlannedView::gaussian_blur(int64_t kernel_size, double sigma) {
  add(Kind::blur, {static_cast<double>(kernel_size), sigma});
}

void PlannedView::solarize(double threshold) { add(Kind::solarize, {threshold}); }

void PlannedView::normalize(const std::vector<double>& mean, const std::vector<double>& std) {
  std::vector<double> numbers;
  numbers.reserve(static_cast<size_t>(2 * image_.channels));
  for (const std::vector<double>* values : {&mean, &std}) {
    for (int64_t channel = 0; channel < image_.channels; ++channel) {
      numbers.push_back((*values)[values->size() == 1 ? 0 : static_cast<size_t>(channel)]);
    }
  }
  add(Kind::normalize, std::move(numbers));
}

void PlannedView::touch_first(const char* method) {
  if (touched_) {
    fail_run("{}() of a planned view comes behind another step: plan it first", method);
  }
  touched_ = true;
}

void PlannedView::add(PlannedChange::Kind kind, std::vector<double> numbers) {
  touched_ = true;
  changes_.push_back({kind, std::move(numbers)});
}

}  // namespace bissl
