#include "preview/recipes.h"

#include <variant>

namespace bissl::host {
namespace {

/// The first data source that the table itself names; empty where it names none.
std::string first_data(const Table& table) {
  for (const std::string& key : table.data_keys) {
    const auto found = table.values.find(key);
    if (found == table.values.end()) {
      continue;
    }
    if (const auto* name = std::get_if<std::string>(&found->second); name && !name->empty()) {
      return *name;
    }
    if (const auto* names = std::get_if<std::vector<std::string>>(&found->second);
        names && !names->empty()) {
      return names->front();
    }
  }
  return "";
}

void gather(const Table& table, const std::string& stage, const std::string& place,
            const std::string& outer_data, std::vector<ViewRecipe>& recipes) {
  const std::string own = first_data(table);
  const std::string& data = own.empty() ? outer_data : own;
  if (table.views && !data.empty()) {
    ViewRecipe recipe{.stage = stage, .place = place, .data = data, .choice = &*table.views};
    const int64_t taken = table.components.count("pretext") != 0 ? 2 : 1;
    recipe.trains = table.components.count("optimizer") != 0;
    recipe.views = table.views->count().value_or(taken);
    if (const auto batch = table.values.find("batch"); batch != table.values.end()) {
      if (const auto* number = std::get_if<int64_t>(&batch->second)) {
        recipe.batch = *number;
      }
    }
    recipes.push_back(std::move(recipe));
  }
  for (const auto& [name, inner] : table.tables) {
    gather(inner, stage, place + "." + name, data, recipes);
  }
  for (const auto& [name, items] : table.lists) {
    for (size_t i = 0; i < items.size(); ++i) {
      gather(items[i], stage, place + "." + name + "." + std::to_string(i), data, recipes);
    }
  }
}

}  // namespace

std::vector<ViewRecipe> view_recipes(const Stage& stage) {
  std::vector<ViewRecipe> recipes;
  gather(stage.table, stage.name, stage.name, "", recipes);
  return recipes;
}

}  // namespace bissl::host
