#include "cli/pixels_command.h"

#include "base/exception_text.h"
#include "base/json_text.h"
#include "base/table.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "data/pixel_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ostream>
#include <system_error>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// Negative for a time ahead, which another clock, or this one before it was set, may have left.
double days_since(const PixelCacheFile& file) {
  const auto age = fs::file_time_type::clock::now() - file.opened;
  return std::chrono::duration<double, std::ratio<86400>>(age).count();
}

std::string opened_text(const PixelCacheFile& file) {
  constexpr double minute = 1.0 / 1440;
  const double days = days_since(file);
  return days < -minute ? "in the future" : fmt::format("{:.1f} d ago", std::max(0.0, days));
}

/// Files that are to be removed, and are by now unless it is a dry run.
struct Pruned {
  std::vector<PixelCacheFile> removed;
  int64_t being_made = 0;  ///< that stay for that reason
};

Pruned prune(const PixelsArguments& arguments, const fs::path& folder) {
  Pruned pruned;
  for (const PixelCacheFile& file : list_pixel_caches(folder)) {
    if (arguments.older_than > 0 && days_since(file) < arguments.older_than) {
      continue;
    }
    if (is_being_made(file.file)) {
      ++pruned.being_made;
      continue;
    }
    std::error_code error;
    if (arguments.dry_run || remove_pixel_cache(file.file, error)) {
      pruned.removed.push_back(file);
    } else if (error) {
      fail_run("cannot remove {}: {}", file.file.string(), error.message());
    }
  }
  return pruned;
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
  const Pruned pruned = arguments.prune ? prune(arguments, folder) : Pruned();
  const std::vector<PixelCacheFile> files =
      arguments.prune ? pruned.removed : list_pixel_caches(folder);
  uint64_t bytes = 0;
  for (const PixelCacheFile& file : files) {
    bytes += file.bytes;
  }
  if (json) {
    nlohmann::json content = {{"folder", folder.string()},
                              {arguments.prune ? "removed" : "files", to_json(files)},
                              {"bytes", bytes},
                              {"limit", pixel_cache_limit()},
                              {"dry_run", arguments.dry_run}};
    if (arguments.prune) {
      content["being_made"] = pruned.being_made;
    }
    out << json_text(content, 2) << '\n';
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
                   bytes_text(double(file.bytes)), opened_text(file),
                   file.complete ? "complete" : "begun", file.source});
  }
  out << table.text();
  if (arguments.prune) {
    out << fmt::format("{} {} files, {}\n", arguments.dry_run ? "would remove" : "removed",
                       files.size(), bytes_text(double(bytes)));
    if (pruned.being_made > 0) {
      out << fmt::format("{} that a process is making {}\n", pruned.being_made,
                         pruned.being_made == 1 ? "stays" : "stay");
    }
  } else {
    out << fmt::format("{}: {} of at most {}\n", folder.string(), bytes_text(double(bytes)),
                       bytes_text(double(pixel_cache_limit())));
  }
  return exit_done;
}

}  // namespace bissl::host
