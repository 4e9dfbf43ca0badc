#include "cli/compare_record.h"

#include "base/posix_file.h"
#include "bissl/error.h"
#include "bissl/hash.h"
#include "pipeline/toml_parser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <variant>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t most_bytes = 1 << 20;  // as of any pipeline file
constexpr const char* mark = "# As written: ";

/// An empty table where the file is not TOML: the sweep says what is wrong with it.
ConfigNode read_toml(const fs::path& file) {
  DiagnosticCollector ignored;
  return parse_toml(read_whole(file, most_bytes), file.string(), ignored).value_or(ConfigNode{});
}

std::optional<std::string> text_of(const ConfigNode& root, const std::string& key) {
  const ConfigEntry* entry = root.find_path(key);
  const std::string* text = entry == nullptr ? nullptr : entry->value.as_text();
  return text == nullptr ? std::nullopt : std::optional(*text);
}

std::optional<int64_t> integer_of(const ConfigNode& root, const std::string& key) {
  const ConfigEntry* entry = root.find_path(key);
  return entry == nullptr || entry->value.type != ConfigNode::Type::integer
             ? std::nullopt
             : std::optional(std::get<int64_t>(entry->value.scalar));
}

/// The path that a file in `folder` means, without links and without a slash at its end.
fs::path real_place(const fs::path& path, const fs::path& folder) {
  const fs::path whole = fs::absolute(path.is_absolute() ? path : folder / path);
  std::error_code error;
  fs::path real = fs::weakly_canonical(whole, error);
  real = error ? whole.lexically_normal() : real;
  return real.has_filename() ? real : real.parent_path();
}

/// Collects what differs.
class Differences {
 public:
  explicit Differences(fs::path folder) : folder_(std::move(folder)) {}

  void compare(const char* what, const std::string& begun, const std::string& now) {
    if (begun != now) {
      found_.push_back(fmt::format("{} {}, and this call has {}", what, begun, now));
    }
  }
  /// Paths; none is called `nothing`.
  void compare(const char* what, const std::optional<std::string>& begun,
               const std::optional<fs::path>& now, const char* nothing) {
    compare(what, begun ? real_place(*begun, folder_).string() : nothing,
            now ? real_place(*now, fs::current_path()).string() : nothing);
  }
  void compare(const char* what, std::optional<int64_t> begun, std::optional<int64_t> now) {
    if (begun && now) {
      compare(what, fmt::format("{}", *begun), fmt::format("{}", *now));
    }
  }
  const std::vector<std::string>& found() const { return found_; }

 private:
  fs::path folder_;
  std::vector<std::string> found_;
};

std::optional<int64_t> seeds_of(const ConfigNode& ablation) {
  const ConfigEntry* seeds = ablation.find_path("axes.seed");
  return seeds == nullptr || seeds->value.type != ConfigNode::Type::array
             ? std::nullopt
             : std::optional(static_cast<int64_t>(seeds->value.items.size()));
}

}  // namespace

void refuse_other_comparison(const CompareFiles& files, const CompareSettings& settings,
                             const CompareGiven& given) {
  const ConfigNode pipeline = read_toml(files.pipeline);
  Differences differences(files.pipeline.parent_path());
  const std::optional<std::string> labelled = text_of(pipeline, "data.labelled.root");
  const std::optional<std::string> unlabeled = text_of(pipeline, "data.unlabeled.root");
  if (labelled) {
    differences.compare("the images of", labelled, settings.labelled.train, "none");
    if (settings.unlabeled || unlabeled != labelled) {
      differences.compare("the pretext images of", unlabeled,
                          settings.unlabeled.value_or(settings.labelled.train), "none");
    }
    const std::optional<std::string> weights = text_of(pipeline, "stage.weights.file");
    differences.compare("--weights", weights, settings.weights, "none");
    if (weights && settings.weights) {
      differences.compare("--backbone",
                          text_of(pipeline, "model.backbone.use").value_or(settings.backbone),
                          settings.backbone);
    }
  }
  differences.compare("--size", integer_of(pipeline, "stage.pretrain.augment.size"), given.size);
  differences.compare("--seeds", seeds_of(read_toml(files.ablation)), given.seeds);
  if (!differences.found().empty()) {
    fail_input(
        "{} was begun with {}. Give this comparison another --name, or repeat the first call, "
        "which continues that one. For more seeds of it, add them to `seed` in {} and call `bissl "
        "sweep` on that file",
        files.ablation.string(), fmt::join(differences.found(), "; with "),
        files.ablation.filename().string());
  }
}

std::string marked_as_written(const std::string& text) {
  return fmt::format("{}{}{}\n", text, mark, hash_hex(text));
}

bool is_as_written(const std::string& text) {
  const size_t place = text.rfind(mark);
  return place != std::string::npos && text == marked_as_written(text.substr(0, place));
}

void refuse_to_overwrite(const CompareFiles& files) {
  for (const fs::path& file : {files.ablation, files.pipeline}) {
    if (is_there(file) && !is_as_written(read_whole(file, most_bytes))) {
      fail_input(
          "{}: there is a file of this name that `bissl compare` did not write, or that was "
          "changed since. Nothing was written. Run it by `bissl sweep {}`, give this comparison "
          "another --name, or move the file away",
          file.string(), files.ablation.string());
    }
  }
}

}  // namespace bissl::host
