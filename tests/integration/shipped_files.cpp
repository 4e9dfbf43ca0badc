#include "shipped_files.h"

#include "support/paths.h"

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// Files of the folder `ablations` are ablations, but for the pipelines that they vary; so are
/// those that run a paper's or a desk's pipeline on several tasks.
bool is_ablation(const fs::path& file) {
  const std::string folder = file.parent_path().filename().string();
  const std::string name = file.stem().string();
  return (folder == "ablations" && !name.ends_with("base")) ||
         (folder == "paper" && (name.ends_with("-tasks") || name.ends_with("-voc2007"))) ||
         (folder == "desk" && name.starts_with("tasks-"));
}

std::vector<fs::path> files_below(const std::vector<const char*>& folders, bool ablations) {
  std::vector<fs::path> files;
  for (const char* folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(source_folder) / folder)) {
      if (entry.path().extension() == ".toml" && is_ablation(entry.path()) == ablations) {
        files.push_back(entry.path());
      }
    }
  }
  return files;
}

}  // namespace

std::vector<fs::path> shipped_pipelines() {
  return files_below({"pipelines", "tests/bench", "tests/gpu", "tests/integration"}, false);
}

std::vector<fs::path> shipped_ablations() {
  return files_below({"pipelines", "tests/bench"}, true);
}

std::vector<fs::path> example_pipelines() { return files_below({"sdk/examples"}, false); }

void copy_example_plugins(const fs::path& folder) {
  fs::create_directory(folder);
  for (const char* name : {"csv_images", "cutout", "momentum_head", "richardson", "vicreg"}) {
    const std::string file = std::string(name) + ".so";
    fs::copy_file(fs::path(fixture_plugin_folder) / file, folder / file);
  }
}

bool takes_minutes(const std::filesystem::path& file) {
  const std::string stem = file.stem().string();
  return file.parent_path().filename() == "methods" || stem.ends_with("methods") ||
         stem == "backbones" || stem == "all-approximators";
}

}  // namespace bissl::host::test
