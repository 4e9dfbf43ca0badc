#pragma once

#include "listed_images.h"

#include "bissl/plugin.h"

#include <memory>
#include <string>
#include <utility>

namespace bissl {

// Each registers the component of one dataset.
void add_caltech101(Registrar& registrar);
void add_cub200(Registrar& registrar);
void add_dtd(Registrar& registrar);
void add_fgvc_aircraft(Registrar& registrar);
void add_flowers102(Registrar& registrar);
void add_food101(Registrar& registrar);
void add_masks(Registrar& registrar);
void add_oxford_pets(Registrar& registrar);
void add_stanford_cars(Registrar& registrar);
void add_sun397(Registrar& registrar);
void add_voc2007(Registrar& registrar);
void add_voc2012_segmentation(Registrar& registrar);

/// The options that all of them have.
struct LayoutOptions {
  std::string root;
  std::string split = "train";
  std::string broken = "error";
  ImageOptions image;
};

/// A schema with `root`, which says what is expected where, and `split`.
template <class Options>
Schema<Options> layout_schema(const LayoutDescription& description, std::vector<std::string> splits,
                              const std::string& about_splits) {
  Schema<Options> schema;
  schema.add("root", &Options::root, "folder with " + description.tree)
      .required()
      .path()
      .execution_only();
  schema.add("split", &Options::split, about_splits).choices(std::move(splits));
  return schema;
}

/// Registers a dataset whose `read(layout, options)` gives a ListedSet.
template <class Options, class Read>
void add_layout(Registrar& registrar, ComponentText text, Schema<Options> schema,
                LayoutDescription description, Read read) {
  schema
      .add("broken", &Options::broken,
           "an image that cannot be read is an error, or the next one with its target takes its "
           "place")
      .choices({"error", "skip"});
  registrar.add<Dataset, Options>(
      std::move(text), schema.embed(&Options::image, image_schema()),
      [description = std::move(description), read](const Options& options, const DatasetContext&) {
        const Layout layout(description, options.root);
        return std::make_shared<ListedImages>(layout, read(layout, options), options.image,
                                              options.broken);
      });
}

}  // namespace bissl
