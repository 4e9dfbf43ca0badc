#pragma once

#include "plugins/component.h"
#include "plugins/load_report.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

class PluginSearch;

/// Something in a folder of plugins, or the folder itself, that could not be loaded.
struct FolderProblem {
  bool is_folder = false;  ///< there is no such folder; otherwise one of its libraries was refused
  std::string message;
};

/// What the pipeline reader needs to know of the loaded components.
class ComponentSource {
 public:
  virtual ~ComponentSource() = default;

  /// The component called `name`, plain or qualified ("library/component"), or null.
  virtual std::shared_ptr<const RegisteredComponent> find(ComponentKind kind,
                                                          const std::string& name) const = 0;
  virtual std::vector<std::shared_ptr<const RegisteredComponent>> components() const = 0;
  /// Loads the libraries of a folder that a pipeline names; it is not trusted and has to exist.
  /// Returns what went wrong with it.
  virtual std::vector<FolderProblem> add_folder(const std::filesystem::path& folder) = 0;
  /// To be called when the pipeline has named all of its folders: what is searched after them is
  /// loaded now.
  virtual void finish() {}
  /// The paths of everything that could not be loaded so far, each once.
  virtual std::vector<std::string> refused() const = 0;
  /// The folders that were looked into, in their order.
  virtual std::vector<std::string> searched() const { return {}; }
};

/// The process's registry, filled by a search, as a source. Both must outlive it.
class RegistrySource : public ComponentSource {
 public:
  explicit RegistrySource(PluginSearch& search) : search_(search) {}

  std::shared_ptr<const RegisteredComponent> find(ComponentKind kind,
                                                  const std::string& name) const override;
  std::vector<std::shared_ptr<const RegisteredComponent>> components() const override;
  std::vector<FolderProblem> add_folder(const std::filesystem::path& folder) override;
  void finish() override;
  std::vector<std::string> refused() const override;
  std::vector<std::string> searched() const override;

  /// What finish() could not load.
  const std::vector<LoadProblem>& late_problems() const { return late_problems_; }

 private:
  PluginSearch& search_;
  std::vector<LoadProblem> late_problems_;
};

}  // namespace bissl::host
