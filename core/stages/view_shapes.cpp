#include "stages/view_shapes.h"

#include "bissl/error.h"
#include "data/view_maker.h"
#include "preview/recipes.h"

namespace bissl::host {

std::optional<ImageShape> first_view_shape(const Pipeline& pipeline,
                                           const std::shared_ptr<DatasetCache>& datasets) {
  DataCatalog data(pipeline, datasets);
  for (const Stage& stage : pipeline.stages) {
    for (const ViewRecipe& recipe : view_recipes(stage)) {
      try {
        const ImageShape image = data.open(recipe.data)->get(0).image.shape;
        return make_augmentation(*recipe.choice)->view_shape(image, 0);
      } catch (const Error&) {
        continue;  // `check` says what is wrong with it
      }
    }
  }
  return std::nullopt;
}

}  // namespace bissl::host
