#pragma once

#include "data/content.h"
#include "data/content_hashes.h"
#include "data/pixel_cache.h"
#include "data/selection.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

/// Opened datasets, by component and parameters. For one thread.
class DatasetCache {
 public:
  /// `hashes`: the hashes of files' contents that are kept between processes.
  /// `pixels`: where and how decoded images are kept, for sources that ask for it.
  explicit DatasetCache(ContentHashes hashes = ContentHashes(), PixelCacheSettings pixels = {})
      : hashes_(std::make_shared<ContentHashes>(std::move(hashes))), pixels_(std::move(pixels)) {}

  /// The dataset, opened if it is not. Throws Error(ErrorKind::input).
  std::shared_ptr<const Dataset> open(const ComponentChoice& choice);
  /// The same with its images decoded once (with_cached_pixels).
  std::shared_ptr<const Dataset> open_decoded(const ComponentChoice& choice, int64_t side);
  /// The hash of a file's content, whatever its name. Throws Error(ErrorKind::input).
  std::string file_hash(const std::string& path) {
    return hashes_->fingerprint({{.name = "file", .path = path}});
  }
  /// The same of a file or of a folder: of all files below it with their places in it, whatever the
  /// folder's name. Throws Error(ErrorKind::input).
  std::string content_hash(const std::string& path);
  /// What the samples that a source chooses look like; they are read once.
  std::shared_ptr<const DataContent> content(const DataSource& source, const DataView& view);

 private:
  std::shared_ptr<ContentHashes> hashes_;
  PixelCacheSettings pixels_;
  std::map<std::string, std::shared_ptr<const DataContent>> contents_;
  std::map<std::string, std::shared_ptr<const Dataset>> datasets_;
};

/// The data sources of a pipeline, each opened when it is first asked for. Sources that name the
/// same dataset with the same parameters share one instance, as do pipelines that share a cache.
/// For one thread.
class DataCatalog {
 public:
  explicit DataCatalog(const Pipeline& pipeline,
                       std::shared_ptr<DatasetCache> datasets = std::make_shared<DatasetCache>())
      : pipeline_(pipeline), datasets_(std::move(datasets)) {}

  /// Throws Error(ErrorKind::input) that names the source, the component and the TOML line.
  std::shared_ptr<const DataView> open(const std::string& name);
  /// The same, and what its images look like; read once for all catalogs that share a cache.
  std::shared_ptr<const DataContent> content(const std::string& name);

  /// What the source's dataset has to say of its data (DataNotes); errors as from open().
  std::vector<std::string> notes(const std::string& name);

  /// What the dataset calls the source's samples, in their order: by SampleNames, else by their
  /// numbers in the whole dataset. Errors as from open().
  std::vector<std::string> sample_names(const std::string& name);

  /// The fingerprint of the source's whole dataset; errors as from open().
  std::string fingerprint(const std::string& name);

  /// The hash of the content of a file that is no data, kept as those of data are. Throws
  /// Error(ErrorKind::input).
  std::string file_hash(const std::string& path) { return datasets_->file_hash(path); }
  /// The same of a file or of a folder (DatasetCache::content_hash).
  std::string content_hash(const std::string& path) { return datasets_->content_hash(path); }

 private:
  const Pipeline& pipeline_;
  std::shared_ptr<DatasetCache> datasets_;
  std::map<std::string, std::shared_ptr<const DataView>> views_;
};

}  // namespace bissl::host
