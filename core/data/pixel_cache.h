#pragma once

#include "bissl/dataset.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace bissl::host {

/// Where decoded pixels are kept: bissl/pixels in $XDG_CACHE_HOME, else in ~/.cache; empty, for
/// nowhere, if the environment names neither.
std::filesystem::path pixel_cache_folder();

/// How many bytes all of it may take: what $BISSL_PIXEL_CACHE_LIMIT says ("20G"; K, M, G and T are
/// powers of 1000), 50 GB without it. Throws Error(input) for what is no size.
uint64_t pixel_cache_limit();

/// How decoded pixels are kept.
struct PixelCacheSettings {
  std::filesystem::path folder = pixel_cache_folder();
  uint64_t limit = pixel_cache_limit();  ///< bytes of all files in it together
  int threads = 0;                       ///< that decode; 0: as many as usual_threads()
  /// Called from time to time with the number of images that are decoded.
  std::function<void(int64_t done, int64_t all)> progress{};
};

/// The dataset with its images decoded once: they lie in a file, memory-mapped, each reduced until
/// its shorter side has at most `side` pixels (bilinear with antialiasing, rounded to 8 bits).
/// Targets are the dataset's own.
///
/// The file's name is a hash of the dataset's fingerprint, of the parameters that say how it is
/// read, and of `side`, so equal content has one file wherever it lies. It is made when it is not
/// there, by several threads; another process that wants it meanwhile waits. An interrupted process
/// leaves what it has decoded, and the next one continues there. When all files together exceed the
/// limit, those that were opened longest ago are removed, abandoned ones included; processes that
/// have them open keep them.
///
/// Throws Error(input) where the data has masks as targets, where there is no folder, or where the
/// images alone exceed the limit; Error of the dataset and of writing; Interrupted.
std::shared_ptr<const Dataset> with_cached_pixels(std::shared_ptr<const Dataset> dataset,
                                                  int64_t side,
                                                  const PixelCacheSettings& settings = {});

/// A file of decoded pixels.
struct PixelCacheFile {
  std::filesystem::path file;
  std::string source;   ///< the dataset's fingerprint and the side
  int64_t samples = 0;  ///< decoded so far
  uint64_t bytes = 0;
  bool complete = false;
  std::filesystem::file_time_type opened{};  ///< the last time
};

/// What lies in the folder, the one that was opened longest ago first. A folder that is not there
/// is empty.
std::vector<PixelCacheFile> list_pixel_caches(const std::filesystem::path& folder);

/// Whether a process is making this file at the moment. Where its lock cannot be tried (a file
/// system without locks, a file of another user), one that was written in the last hour counts so.
bool is_being_made(const std::filesystem::path& file);

/// Removes a file of the list, unless it is being made. Returns whether it has removed it; where
/// the system refuses, `error` says why.
bool remove_pixel_cache(const std::filesystem::path& file, std::error_code& error);

}  // namespace bissl::host
