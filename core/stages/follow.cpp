#include "stages/follow.h"

#include "base/scratch_folder.h"
#include "bissl/error.h"
#include "distributed/process_group.h"
#include "stages/compute.h"
#include "store/checkpoint.h"
#include "store/stage_results.h"
#include "telemetry/events.h"
#include "telemetry/interrupt.h"

#include <system_error>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* end_of_run = "end";
constexpr const char* interruption = "interruption";

/// For announcements, which hold paths: unlike JSON's text, CBOR keeps bytes that are not UTF-8.
std::string to_bytes(const json& message) {
  std::string bytes;
  json::to_cbor(message, bytes);
  return bytes;
}

/// Whether a stage continues from files of this name.
bool is_progress(const fs::path& file) {
  return file.filename() == checkpoint_file || file.filename() == stage_results_file;
}

/// Copies what process 0 continues from: checkpoints and finished repeats.
void copy_progress(const fs::path& from, const fs::path& to) {
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

}  // namespace

void announce_stage(const StageContext& context) {
  ProcessGroup* const group = current_group();
  if (group == nullptr) {
    return;
  }
  json told = {{"stage", context.stage.name}, {"folder", fs::absolute(context.folder).string()}};
  if (context.parent) {
    told["parent"] = fs::absolute(*context.parent).string();
  }
  if (context.budget) {
    told["budget"] = *context.budget;
  }
  for (const auto& [name, folder] : context.compared) {
    told["compared"][name] = fs::absolute(folder).string();
  }
  group->announce(to_bytes(told));
  group->wait_for_all();
}

void announce_end(bool interrupted) {
  current_group()->announce(to_bytes(interrupted ? interruption : end_of_run));
}

void follow(const Pipeline& pipeline, const RunSettings& settings,
            const std::shared_ptr<DatasetCache>& datasets, const fs::path& scratch) {
  ProcessGroup& group = *current_group();
  DataCatalog data(pipeline, datasets);
  while (true) {
    const json told = json::from_cbor(group.announced());
    if (told == end_of_run) {
      return;
    }
    if (told == interruption) {
      throw Interrupted();
    }
    const Stage& stage = pipeline.stage(told.at("stage").get<std::string>());
    const ScratchFolder folder(scratch, "bissl-process");
    copy_progress(told.at("folder").get<std::string>(), folder.path());
    group.wait_for_all();
    StageContext context = new_context(pipeline, stage, data, folder.path(), settings);
    if (told.contains("parent")) {
      context.parent = told.at("parent").get<std::string>();
    }
    if (told.contains("budget")) {
      context.budget = told.at("budget").get<double>();
    }
    const json compared = told.value("compared", json::object());
    for (const auto& [name, place] : compared.items()) {
      context.compared[name] = place.get<std::string>();
    }
    run_stage(context);
  }
}

}  // namespace bissl::host
