#include "sweep/attempts.h"

#include "base/atomic_file.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "store/checkpoint.h"
#include "store/stage_results.h"

#include <fmt/format.h>
#include <unistd.h>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

void write_json(const fs::path& file, const nlohmann::json& json) {
  make_folder(file.parent_path());
  write_file_atomically(file, json_text(json, 2) + "\n");
}

/// The integer at a key; 0 if there is none.
int64_t number_at(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

/// This machine, or container: another one has processes of the same numbers.
std::string this_host() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

/// Changes whenever the stage gets further: the moment of its last checkpoint and of its last
/// finished repeat.
std::string progress_of(const fs::path& stage_folder) {
  std::error_code ignored;
  std::string progress;
  for (fs::recursive_directory_iterator walk(stage_folder, ignored), end; walk != end;
       walk.increment(ignored)) {
    const std::string name = walk->path().filename().string();
    if (name == checkpoint_file || name == stage_results_file) {
      progress +=
          fmt::format("{}:{};", walk->path().string(),
                      fs::last_write_time(walk->path(), ignored).time_since_epoch().count());
    }
  }
  return progress;
}

}  // namespace

int64_t Attempts::begin(const std::string& key, const fs::path& stage_folder) {
  const fs::path file = files_.state_file(key, "attempts");
  const nlohmann::json before = read_json_if_there(file).value_or(nlohmann::json::object());
  const std::string progress = progress_of(stage_folder);
  const auto old = before.find("progress");
  const int64_t attempts =
      old != before.end() && *old == progress ? number_at(before, "attempts") : 0;
  write_json(file, {{"attempts", attempts + 1},
                    {"progress", progress},
                    {"process", getpid()},
                    {"host", this_host()}});
  return attempts;
}

void Attempts::end(const std::string& key) {
  ::unlink(files_.state_file(key, "attempts").c_str());
  ::unlink(files_.state_file(key, "end").c_str());
}

bool Attempts::note_end(int64_t process, const std::string& how) {
  bool begun = false;
  for (const PlanNode& node : plan_.nodes) {
    const std::optional<nlohmann::json> attempt =
        read_json_if_there(files_.state_file(node.key, "attempts"));
    if (attempt && number_at(*attempt, "process") == process &&
        text_at(*attempt, "host") == this_host()) {
      write_json(files_.state_file(node.key, "end"), {{"how", how}});
      begun = true;
    }
  }
  return begun;
}

std::string Attempts::last_end(const std::string& key) const {
  const std::optional<nlohmann::json> end = read_json_if_there(files_.state_file(key, "end"));
  const auto how = end ? end->find("how") : nlohmann::json::const_iterator();
  return end && how != end->end() && how->is_string() ? how->get<std::string>() : "";
}

}  // namespace bissl::host
