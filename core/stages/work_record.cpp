#include "stages/work_record.h"

#include "base/atomic_file.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "store/checkpoint.h"
#include "store/stage_record.h"

#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json read_record(const fs::path& file) {
  json record = fs::exists(file) ? parse_json_file(file) : json();
  return record.is_object() ? record : json::object();
}

}  // namespace

bool has_progress(const fs::path& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; entry != end;
       entry.increment(error)) {
    const fs::path name = entry->path().filename();
    // The stage's own results are written at its end, and nobody continues from them.
    const bool is_repeat = name == stage_results_file && entry.depth() > 0;
    if (name == checkpoint_file || is_repeat) {
      return true;
    }
  }
  return false;
}

json environments_so_far(const fs::path& folder) {
  const json environments =
      has_progress(folder) ? read_record(folder / work_record_file).value("environments", json())
                           : json();
  return environments.is_array() ? environments : json::array();
}

WorkRecord::WorkRecord(fs::path folder, json environment,
                       std::chrono::steady_clock::time_point begin)
    : file_(folder / work_record_file), environments_(environments_so_far(folder)), begin_(begin) {
  if (has_progress(folder)) {
    const json seconds = read_record(file_).value("seconds", json());
    before_ = seconds.is_number() ? seconds.get<double>() : 0.0;
  }
  if (environments_.empty() || environments_.back() != environment) {
    environments_.push_back(std::move(environment));
  }
  save();
}

double WorkRecord::seconds() const {
  return before_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

void WorkRecord::save() const {
  const json record = {{"seconds", seconds()}, {"environments", environments_}};
  write_file_atomically(file_, json_text(record, 2) + "\n");
}

void WorkRecord::add_to(StageResults& results) const {
  results.seconds = seconds();
  results.environments = environments_;
}

}  // namespace bissl::host
