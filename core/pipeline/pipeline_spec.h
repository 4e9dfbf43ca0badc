#pragma once

#include "pipeline/table.h"

namespace bissl::host {

/// What a pipeline file may hold, but for the tables of data sources and stages, which depend
/// on their `use` and `kind`. For the reader, `bissl describe pipeline` and the JSON Schema.
const TableSpec& pipeline_spec();

}  // namespace bissl::host
