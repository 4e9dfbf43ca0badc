#pragma once

#include "data/augmentation_with_tail.h"
#include "plugins/component.h"

#include <functional>
#include <memory>
#include <vector>

namespace bissl::host {

/// The transforms of a chain, at least one, as an augmentation: each works on what the one before
/// it gives, the first on the dataset's 8-bit pixels. Each draws from a part of the view's stream
/// that is named after it (RandomStream::part), the second `blur` of a chain from "blur#1": what
/// one step draws does not depend on the others. Its tail are the steps that work on whole batches.
///
/// Throws Error(ErrorKind::input) where a step takes what the one before it does not give, the last
/// gives no float planes, or one of single views stands behind one of whole batches. Errors name
/// the step, its library and its place.
///
/// `after_step`, where it is given, is called after each step of a single view with its place in
/// the chain, by the thread that makes the view: for measurements.
std::shared_ptr<const AugmentationWithTail> make_chain(
    const std::vector<ComponentChoice>& steps,
    std::function<void(size_t step)> after_step = nullptr);

}  // namespace bissl::host
