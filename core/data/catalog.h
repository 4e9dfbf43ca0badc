#pragma once

#include "data/selection.h"

#include <map>
#include <memory>
#include <string>

namespace bissl {

/// The data sources of a pipeline, each opened when it is first asked for. Sources that name the
/// same dataset with the same parameters share one instance. For one thread.
class DataCatalog {
 public:
  explicit DataCatalog(const Pipeline& pipeline) : pipeline_(pipeline) {}

  /// Throws Error(ErrorKind::input) that names the source, the component and the TOML line.
  std::shared_ptr<const DataView> open(const std::string& name);

 private:
  std::shared_ptr<const Dataset> dataset(const ComponentChoice& choice);

  const Pipeline& pipeline_;
  std::map<std::string, std::shared_ptr<const Dataset>> datasets_;  ///< by component and values
  std::map<std::string, std::shared_ptr<const DataView>> views_;
};

}  // namespace bissl
