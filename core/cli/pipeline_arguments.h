#pragma once

#include "data/catalog.h"
#include "pipeline/diagnostics.h"
#include "pipeline/pipeline.h"
#include "plugins/search.h"

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What the calls that take a pipeline have in common.
struct PipelineArguments {
  std::filesystem::path file;
  std::vector<std::string> overrides;  ///< of --set
  std::vector<std::string> unset;
  std::filesystem::path out = "runs";
  int threads = 0;  ///< the most, if they are chosen; 0: as many as the process may use
  /// Each stage's number of threads is chosen by trial steps.
  bool choose_threads = true;
  std::string device = "cpu";
  bool deterministic = false;  ///< a GPU adds up in one order in all runs, or the run ends
  bool tf32 = false;           ///< a GPU may round what it multiplies to 10 bits
  bool json = false;
  int ranks = 0;             ///< processes that train together; 0: as the environment says, or one
  bool tensorboard = false;  ///< of `run`: TensorBoard's files are written along with it
  bool rehash = false;       ///< hash all data again, whatever is kept of it

  /// For the data of this call. How far decoding is, where a source keeps decoded images, is
  /// printed on standard error.
  std::shared_ptr<DatasetCache> make_datasets() const;
};

/// Prints what is wrong or doubtful to `err`; as JSON to `out` if asked for and the input is
/// refused.
void print_diagnostics(const std::vector<Diagnostic>& diagnostics, bool refused, bool json,
                       std::ostream& out, std::ostream& err);

/// Reads the pipeline and prints what is wrong or doubtful to `err` (as JSON to `out` if asked
/// for). None if anything is wrong.
/// Loads the rest of the plugins on the way, and warns of what was refused.
std::optional<Pipeline> read_or_report(const PipelineArguments& arguments, PluginSearch& plugins,
                                       std::ostream& out, std::ostream& err);

/// Warns of more threads than there are processors, and of more jobs than threads.
void warn_about_threads(int threads, int jobs, std::ostream& err);

/// Takes "auto", "auto:N" or N into the arguments. Returns what is wrong with any other text; empty
/// for these.
std::string parse_threads(const std::string& text, PipelineArguments& arguments);

/// The opposite, for `threads` of a worker process.
std::string threads_argument(const PipelineArguments& arguments, int threads);

/// Sets the number of LibTorch's threads and returns how many there are. 0: one for each processor
/// that the process may run on, or as many as OMP_NUM_THREADS says if those are fewer.
int set_threads(int wanted);

}  // namespace bissl::host
