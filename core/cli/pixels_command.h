#pragma once

#include <iosfwd>

namespace bissl::host {

struct PixelsArguments {
  bool prune = false;
  double older_than = 0;  ///< days; only what was not opened for so long
  bool dry_run = false;
};

/// `bissl store pixels`: the files of decoded images that sources with `cache_pixels` keep; with
/// `prune` removes them, but not those that a process is making. Processes that have one open keep
/// it. Returns the exit code; throws Error.
int run_store_pixels(const PixelsArguments& arguments, bool json, std::ostream& out);

}  // namespace bissl::host
