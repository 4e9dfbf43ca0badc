#include "stages/view_shapes.h"

#include "bissl/error.h"
#include "stages/networks.h"

#include <string>

namespace bissl::host {
namespace {

/// Of a table with `data` and views, or of one of those in it.
std::optional<ImageShape> view_shape(const StageContext& context, const Table& table) {
  const auto data = table.values.find("data");
  const auto* name = data == table.values.end() ? nullptr : std::get_if<std::string>(&data->second);
  if (table.views && name != nullptr) {
    try {
      return make_batches(context, *name, table.augment(),
                          {.views = table.augment().count().value_or(1)})
          ->view_shape();
    } catch (const Error&) {
      return std::nullopt;  // what is wrong with it, `check` tells
    }
  }
  for (const auto& [key, below] : table.tables) {
    if (const auto shape = view_shape(context, below)) {
      return shape;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<ImageShape> first_view_shape(const Pipeline& pipeline,
                                           const std::shared_ptr<DatasetCache>& datasets) {
  DataCatalog data(pipeline, datasets);
  const RunSettings settings;
  for (const Stage& stage : pipeline.stages) {
    const StageContext context{.pipeline = pipeline,
                               .stage = stage,
                               .data = data,
                               .folder = {},
                               .parent = std::nullopt,
                               .handed_on = nullptr,
                               .generation = 0,
                               .settings = settings};
    if (const auto shape = view_shape(context, stage.table)) {
      return shape;
    }
  }
  return std::nullopt;
}

}  // namespace bissl::host
