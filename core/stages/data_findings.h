#pragma once

#include "data/catalog.h"
#include "pipeline/pipeline.h"

#include <string>
#include <vector>

namespace bissl::host {

/// Warnings about the data that a stage names, and about what it and its ancestors share with the
/// data that it is scored on: classes or labels without samples, one class only, labels that every
/// sample has and values that never change where targets are used, images of one value, images that
/// are all the same, what a dataset itself has to say, test images that are trained on. Each names
/// its source and has counts. Opens the data; what was read of a source is kept in the catalog.
std::vector<std::string> data_findings(const Pipeline& pipeline, const Stage& stage,
                                       DataCatalog& data);

/// What the datasets of all sources that stages name have to say of their data by now, as
/// data_findings has it: "data.NAME: …". Samples that were read since may have added to it. Throws
/// Error.
std::vector<std::string> data_notes(const Pipeline& pipeline, DatasetCache& datasets);

/// Whether a warning is one of these: it begins with the source, whatever the stage.
bool is_about_data(const std::string& warning);

}  // namespace bissl::host
