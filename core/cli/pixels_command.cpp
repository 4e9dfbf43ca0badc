#include "cli/pixels_command.h"

#include "base/exception_text.h"
#include "base/json_text.h"
#include "base/table.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "data/pixel_cache.h"

#include <fmt/format.h>

#include <chrono>
#include <ostream>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

double days_since(const PixelCacheFile& file) {
  const auto age = fs::file_time_type::clock::now() - file.opened;
  return std::chrono::duration<double, std::ratio<86400>>(age).count();
}

/// Those that are to be removed, and are by now unless it is a dry run.
std::vector<PixelCacheFile> prune(const PixelsArguments& arguments, const fs::path& folder) {
  std::vector<PixelCacheFile> removed;
  for (const PixelCacheFile& file : list_pixel_caches(folder)) {
    if (days_since(file) < arguments.older_than) {
      continue;
    }
    std::error_code error;
    if (!arguments.dry_run && !fs::remove(file.file, error) && error) {
      fail_run("cannot remove {}: {}", file.file.string(), error.message());
    }
    removed.push_back(file);
  }
  return removed;
}

nlohmann::json to_json(const std::vector<PixelCacheFile>& files) {
  nlohmann::json list = nlohmann::json::array();
  for (const PixelCacheFile& file : files) {
    list.push_back({{"file", file.file.string()},
                    {"source", file.source},
                    {"samples", file.samples},
                    {"bytes", file.bytes},
                    {"complete", file.complete},
                    {"days_since_opened", days_since(file)}});
  }
  return list;
}

}  // namespace

int run_store_pixels(const PixelsArguments& arguments, bool json, std::ostream& out) {
  const fs::path folder = pixel_cache_folder();
  const std::vector<PixelCacheFile> files =
      arguments.prune ? prune(arguments, folder) : list_pixel_caches(folder);
  uint64_t bytes = 0;
  for (const PixelCacheFile& file : files) {
    bytes += file.bytes;
  }
  if (json) {
    out << json_text({{"folder", folder.string()},
                      {arguments.prune ? "removed" : "files", to_json(files)},
                      {"bytes", bytes},
                      {"limit", pixel_cache_limit()},
                      {"dry_run", arguments.dry_run}},
                     2)
        << '\n';
    return exit_done;
  }
  TextTable table({{"file"},
                   {"samples", TextTable::Align::right},
                   {"size", TextTable::Align::right},
                   {"opened"},
                   {"state"},
                   {"of"}});
  for (const PixelCacheFile& file : files) {
    table.add_row({file.file.filename().string(), fmt::format("{}", file.samples),
                   bytes_text(double(file.bytes)), fmt::format("{:.1f} d ago", days_since(file)),
                   file.complete ? "complete" : "begun", file.source});
  }
  out << table.text();
  if (arguments.prune) {
    out << fmt::format("{} {} files, {}\n", arguments.dry_run ? "would remove" : "removed",
                       files.size(), bytes_text(double(bytes)));
  } else {
    out << fmt::format("{}: {} of at most {}\n", folder.string(), bytes_text(double(bytes)),
                       bytes_text(double(pixel_cache_limit())));
  }
  return exit_done;
}

}  // namespace bissl::host
