#include "data/catalog.h"

#include "bissl/error.h"
#include "data/guarded_dataset.h"

namespace bissl {

std::shared_ptr<const Dataset> DatasetCache::open(const ComponentChoice& choice) {
  std::string identity = choice.component->qualified_name();
  for (const auto& [name, value] : choice.values) {
    identity += fmt::format(" {}={}", name, to_toml(value));
  }
  auto& opened = datasets_[identity];
  if (!opened) {
    opened = create_guarded_dataset(choice);
  }
  return opened;
}

std::shared_ptr<const DataView> DataCatalog::open(const std::string& name) {
  auto& view = views_[name];
  if (!view) {
    const DataSource& source = pipeline_.data_source(name);
    try {
      view = std::make_shared<const DataView>(datasets_->open(source.dataset),
                                              selection_schema().parse(source.selection.values));
    } catch (const Error& error) {
      throw error.at(fmt::format("data.{} ({})", name, source.dataset.origin));
    }
  }
  return view;
}

std::string DataCatalog::fingerprint(const std::string& name) {
  const auto view = open(name);
  try {
    return view->fingerprint();
  } catch (const Error& error) {
    throw error.at(fmt::format("data.{} ({})", name, pipeline_.data_source(name).dataset.origin));
  }
}

}  // namespace bissl
