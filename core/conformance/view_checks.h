#pragma once

#include "bissl/augmentation.h"
#include "conformance/canvas.h"
#include "conformance/checker.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

// What augmentations and transforms are checked for: what the checks share, and the checks
// themselves. Each throws Violation.

using View = std::vector<float>;

/// Numbers of views that are made.
inline constexpr std::array<int64_t, 4> tried_views = {0, 1, 2, 7};

/// A new instance: of an augmentation, or of a transform as one.
std::shared_ptr<Augmentation> make_maker(const Checker& checker);

/// How many samples are made of an image.
uint64_t repeats_for(const ImageShape& shape);

RandomStream stream_of(uint64_t sample, int64_t view);

/// A view, made in memory that held a pattern, or NaN, and that has room beside it.
View view_of(const Augmentation& augmentation, const Picture& picture, int64_t view,
             uint64_t sample, int pattern = 0, bool nan = true);

bool same_bits(const View& a, const View& b);

/// Whether the augmentation takes images of this shape. A refusal must be one of wrong input.
bool accepts(const Augmentation& augmentation, const ImageShape& shape, std::string& refusal);

/// Beside the shapes that all kinds are tried on: such that are not square, and small ones.
std::vector<ImageShape> shapes_of_pictures();

/// The shapes that the augmentation accepts, of which it must make views.
std::vector<ImageShape> accepted_shapes(const Augmentation& augmentation);

// In view_content.cpp: what is in a view, and what is touched beside it.

void check_written(const Augmentation& augmentation, const ImageShape& input);
/// Where views lie in their images: finite, not folded to a line, near the image, and the same at
/// each call.
void check_geometry(const Augmentation& augmentation, const ImageShape& input);
/// Of the image with 16-bit samples, each 257 times the 8-bit one, the same view is made.
void check_16_bits(const Augmentation& augmentation, const ImageShape& shape);
void check_image(const Augmentation& augmentation, const ImageShape& shape);
/// Patterns around image and view, and what the view's memory held before, make no difference.
void check_nothing_beside(const Augmentation& augmentation, const ImageShape& shape);
/// Exchanged rows and columns do not show in square images, whose stripes stay stripes; in others
/// they leave no direction.
void check_rows_and_columns(const Augmentation& augmentation,
                            const std::vector<ImageShape>& accepted);

// In view_batches.cpp.

/// That a transform of whole batches makes of each row what it makes of that row by itself,
/// whatever the other rows, in the memory that is there. Throws NotApplicable for one of single
/// views.
void check_whole_batches(const Checker& checker, const std::vector<ImageShape>& accepted);

// In view_plans.cpp.

/// That what it plans of an image (bissl/planned_view.h) is what it makes of it, with the same
/// draws. Throws NotApplicable for one that plans nothing.
void check_plans(const Checker& checker, const Augmentation& augmentation,
                 const std::vector<ImageShape>& accepted);

// In view_history.cpp: that nothing but image, view and stream decides about a view.

void check_repeats(const Checker& checker, const Augmentation& augmentation,
                   const Picture& picture);
/// Hashes of views of an image of the first shape that is accepted, from a process in which nothing
/// was made before. Empty where that gave no answer.
std::vector<std::string> views_elsewhere(const Checker& checker);
void check_history(const Checker& checker, const std::vector<ImageShape>& shapes,
                   const std::vector<std::string>& elsewhere);
void check_threads(const Checker& checker, const std::vector<ImageShape>& shapes);

}  // namespace bissl::host
