#include "stages/follow.h"

#include "base/scratch_folder.h"
#include "bissl/error.h"
#include "distributed/team.h"
#include "stages/compute.h"
#include "stages/progress_copy.h"
#include "telemetry/interrupt.h"

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* end_of_work = "end";
constexpr const char* interruption = "interruption";

/// For announcements, which hold paths: unlike JSON's text, CBOR keeps bytes that are not UTF-8.
std::string to_bytes(const json& message) {
  std::string bytes;
  json::to_cbor(message, bytes);
  return bytes;
}

}  // namespace

void announce_stage(const StageContext& context, const std::string& key) {
  ProcessGroup* const group = current_group();
  if (group == nullptr) {
    return;
  }
  json told = {{"stage", context.stage.name},
               {"key", key},
               {"folder", fs::absolute(context.folder).string()},
               {"progress", progress_in(context.folder)}};
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

void announce_end() { current_group()->announce(to_bytes(end_of_work)); }

void end_interrupted(Team& team) {
  if (current_group() == nullptr) {
    team.dismiss(interrupted_exit_code);
    return;
  }
  try {
    current_group()->announce(to_bytes(interruption));  // for those that are between stages
  } catch (const ProcessLost&) {
    // The meeting point is gone, and with it whoever would read this.
  }
  team.part(/*interrupted=*/true);
}

void follow(const StageFinder& find, const RunSettings& settings, const fs::path& scratch) {
  ProcessGroup& group = *current_group();
  while (true) {
    const json told = json::from_cbor(group.announced());
    if (told == end_of_work) {
      return;
    }
    if (told == interruption) {
      throw Interrupted();
    }
    const FollowedStage found =
        find(told.at("stage").get<std::string>(), told.at("key").get<std::string>());
    const ScratchFolder folder(scratch, "bissl-process");
    copy_progress(told.at("folder").get<std::string>(), folder.path(), told.at("progress"));
    group.wait_for_all();
    StageContext context =
        new_context(found.pipeline, found.stage, found.data, folder.path(), settings);
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
