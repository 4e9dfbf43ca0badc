#pragma once

#include "bissl/image.h"
#include "bissl/planned_view.h"
#include "bissl/view_geometry.h"
#include "bissl/views.h"

#include <vector>

namespace bissl::host {

/// What is to be made of the image of a row of a batch.
struct PlannedRow {
  Image image;                         ///< with the channels of the views
  std::vector<PlannedView> views;      ///< of each view
  std::vector<ViewGeometry> geometry;  ///< of each view: where it lies in the image
};

/// Makes the planned views of all rows on the device of `views`, where it writes them: view v is
/// (N, C, H_v, W_v), float32, with a row for each of `rows`. They are those that the processor
/// makes, up to rounding: interpolation and Gaussian kernels are products of matrices and sums in
/// single precision, whatever LibTorch's autocast and TF32 are set to.
///
/// The images are sent as they are, side by side in a tensor of the largest height and width among
/// them, with the numbers of the plans. Rows whose images, views or matrices would together be more
/// than 2²⁴ values (64 MiB as floats) are made part by part, so what lies on the device beside
/// images and views is a few times that for each thread that calls it, and more only where one
/// image is larger. On another device than the processor nothing is waited for; the transfers are
/// queued in the calling thread's stream.
void make_views(const std::vector<PlannedRow>& rows, const Views& views);

}  // namespace bissl::host
