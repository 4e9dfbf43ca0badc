#pragma once

#include "plugins/component.h"
#include "plugins/load_report.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bissl {

class Registry;

/// What the pipeline reader needs to know of the loaded components.
class ComponentSource {
 public:
  virtual ~ComponentSource() = default;

  /// The component called `name`, plain or qualified ("library/component"), or null.
  virtual std::shared_ptr<const Component> find(ComponentKind kind,
                                                const std::string& name) const = 0;
  virtual std::vector<std::shared_ptr<const Component>> components() const = 0;
  /// Loads the libraries of a folder that a pipeline names; it is not trusted and has to exist.
  /// What goes wrong is in problems().
  virtual void add_folder(const std::filesystem::path& folder) = 0;
  /// All problems so far, oldest first.
  virtual std::vector<LoadProblem> problems() const = 0;
};

/// The process's registry as a source. The registry must outlive it.
class RegistrySource : public ComponentSource {
 public:
  explicit RegistrySource(Registry& registry) : registry_(registry) {}

  std::shared_ptr<const Component> find(ComponentKind kind, const std::string& name) const override;
  std::vector<std::shared_ptr<const Component>> components() const override;
  void add_folder(const std::filesystem::path& folder) override;
  std::vector<LoadProblem> problems() const override;

 private:
  Registry& registry_;
};

}  // namespace bissl
