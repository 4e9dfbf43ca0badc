#pragma once

#include "bissl/image.h"
#include "data/catalog.h"
#include "pipeline/pipeline.h"

#include <memory>
#include <optional>

namespace bissl::host {

/// The shape of the first view that a stage of the pipeline makes of its data, for which its
/// backbone is made. None where no stage has views, or the data of none can be opened.
std::optional<ImageShape> first_view_shape(const Pipeline& pipeline,
                                           const std::shared_ptr<DatasetCache>& datasets);

}  // namespace bissl::host
