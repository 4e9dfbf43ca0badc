#include "data/catalog.h"

#include "base/posix_file.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "data/guarded_dataset.h"

#include <filesystem>
#include <system_error>

namespace bissl::host {

namespace {

namespace fs = std::filesystem;

std::string text_of(const ParameterValues& values) {
  std::string text;
  for (const auto& [name, value] : values) {
    text += fmt::format(" {}={}", name, to_toml(value));
  }
  return text;
}

std::string identity_of(const ComponentChoice& choice) {
  return choice.component->qualified_name() + text_of(choice.values);
}

/// The files below a folder, named by their places in it; links are followed.
std::vector<DataFile> files_below(const fs::path& folder) {
  std::vector<DataFile> files;
  std::error_code failed;
  fs::recursive_directory_iterator item(folder, fs::directory_options::follow_directory_symlink,
                                        failed);
  for (const fs::recursive_directory_iterator end; !failed && item != end; item.increment(failed)) {
    std::error_code dangling;
    if (item->is_regular_file(dangling)) {
      files.push_back({.name = item->path().lexically_relative(folder).generic_string(),
                       .path = item->path().string()});
    }
  }
  if (failed) {
    fail_read(folder, failed.value());
  }
  return files;
}

}  // namespace

std::string DatasetCache::content_hash(const std::string& path) {
  std::error_code not_there;
  return fs::is_directory(path, not_there) ? hashes_->fingerprint(files_below(path))
                                           : file_hash(path);
}

std::shared_ptr<const Dataset> DatasetCache::open(const ComponentChoice& choice) {
  auto& opened = datasets_[identity_of(choice)];
  if (!opened) {
    opened = create_guarded_dataset(choice, hashes_);
  }
  return opened;
}

std::shared_ptr<const Dataset> DatasetCache::open_decoded(const ComponentChoice& choice,
                                                          int64_t side) {
  auto& opened = datasets_[fmt::format("{} decoded at {}", identity_of(choice), side)];
  if (!opened) {
    opened = with_cached_pixels(open(choice), side, pixels_);
  }
  return opened;
}

std::shared_ptr<const DataContent> DatasetCache::content(const DataSource& source,
                                                         const DataView& view) {
  auto& known = contents_[identity_of(source.dataset) + ";" + text_of(source.selection.values)];
  if (!known) {
    known = std::make_shared<const DataContent>(content_of(view));
  }
  return known;
}

std::shared_ptr<const DataContent> DataCatalog::content(const std::string& name) {
  const auto view = open(name);
  return datasets_->content(pipeline_.data_source(name), *view);
}

std::shared_ptr<const DataView> DataCatalog::open(const std::string& name) {
  auto& view = views_[name];
  if (!view) {
    const DataSource& source = pipeline_.data_source(name);
    try {
      const SelectionOptions selection = selection_schema().parse(source.selection.values);
      view = std::make_shared<const DataView>(
          selection.cache ? datasets_->open_decoded(source.dataset, *selection.cache)
                          : datasets_->open(source.dataset),
          selection);
    } catch (const Error& error) {
      throw error.at(fmt::format("data.{} ({})", spelled_key(name), source.dataset.origin));
    }
  }
  return view;
}

std::vector<std::string> DataCatalog::notes(const std::string& name) {
  open(name);
  return notes_of(*datasets_->open(pipeline_.data_source(name).dataset));
}

std::vector<std::string> DataCatalog::sample_names(const std::string& name) {
  const auto view = open(name);
  // The component itself: decoded copies have its samples in the same places.
  const auto dataset = datasets_->open(pipeline_.data_source(name).dataset);
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(view->size()));
  for (int64_t i = 0; i < view->size(); ++i) {
    const int64_t place = view->place(i);
    names.push_back(sample_name_of(*dataset, place).value_or(std::to_string(place)));
  }
  return names;
}

std::string DataCatalog::fingerprint(const std::string& name) {
  const auto view = open(name);
  try {
    return view->fingerprint();
  } catch (const Error& error) {
    throw error.at(
        fmt::format("data.{} ({})", spelled_key(name), pipeline_.data_source(name).dataset.origin));
  }
}

}  // namespace bissl::host
