#include "stages/progress_copy.h"

#include "bissl/error.h"
#include "store/checkpoint.h"
#include "store/stage_results.h"
#include "telemetry/events.h"
#include "telemetry/interrupt.h"

#include <cstdint>
#include <string>
#include <system_error>
#include <thread>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace std::chrono_literals;

/// How often it is looked whether late files are there.
constexpr auto late_look_pause = 50ms;

/// Whether a stage continues from files of this name.
bool is_progress(const fs::path& file) {
  return file.filename() == checkpoint_file || file.filename() == stage_results_file;
}

/// "repeat-0/results.json (812 bytes), checkpoint.safetensors (4096 bytes)"
std::string progress_text(const json& progress) {
  std::string text;
  for (const auto& [file, bytes] : progress.items()) {
    text += fmt::format("{}{} ({} bytes)", text.empty() ? "" : ", ", file, bytes.get<uint64_t>());
  }
  return text.empty() ? "nothing" : text;
}

void wait_for_progress(const fs::path& folder, const json& wanted,
                       std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (true) {
    const json seen = progress_in(folder);
    if (seen == wanted) {
      return;
    }
    if (interrupted()) {
      throw Interrupted();
    }
    if (std::chrono::steady_clock::now() > end) {
      fail_run(
          "process 0 continues from {} in {}, where this process finds {}. All processes must see "
          "the same folders; where a network file system shows files late, the same call may do",
          progress_text(wanted), folder.string(), progress_text(seen));
    }
    std::this_thread::sleep_for(late_look_pause);
  }
}

}  // namespace

json progress_in(const fs::path& folder) {
  json found = json::object();
  std::error_code of_folder;
  for (fs::recursive_directory_iterator item(folder, of_folder), end; item != end;
       item.increment(of_folder)) {
    std::error_code of_file;
    const std::uintmax_t bytes = is_progress(item->path()) ? item->file_size(of_file) : 0;
    if (is_progress(item->path()) && !of_file) {
      found[item->path().lexically_relative(folder).string()] = static_cast<uint64_t>(bytes);
    }
  }
  return found;
}

void copy_progress(const fs::path& from, const fs::path& to, const json& wanted,
                   std::chrono::milliseconds limit) {
  wait_for_progress(from, wanted, limit);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from)) {
    const fs::path place = to / fs::relative(entry.path(), from);
    if (entry.is_directory()) {
      fs::create_directories(place);
    } else if (entry.is_regular_file() && entry.path().filename() != event_log_file) {
      // The renewal of a claim may replace other files meanwhile, which are of no use here.
      std::error_code error;
      if (!fs::copy_file(entry.path(), place, error) && is_progress(entry.path())) {
        fail_run("cannot copy {} to {}, which this process continues from: {}",
                 entry.path().string(), place.string(), error.message());
      }
    }
  }
}

}  // namespace bissl::host
