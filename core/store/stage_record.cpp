#include "store/stage_record.h"

#include "base/atomic_file.h"
#include "base/exception_text.h"
#include "base/json_file.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "bissl/hash.h"
#include "store/checkpoint.h"

#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

std::string checksum_of(const fs::path& file) {
  const FileDescriptor open = open_for_reading(file);
  std::vector<char> buffer(1 << 20);
  Hasher hasher;
  uint64_t place = 0;
  while (const size_t count = read_at(open, buffer.data(), buffer.size(), place, file)) {
    hasher.update(buffer.data(), count);
    place += count;
  }
  return hasher.hex();
}

bool is_left_out(const std::string& relative_path) {
  return relative_path == checkpoint_file || relative_path == work_record_file ||
         relative_path == stage_record_file ||
         is_temporary_name(fs::path(relative_path).filename().string());
}

StageRecord record_from(const nlohmann::json& json) {
  const int format = json.at("format").get<int>();
  if (format != store_format) {
    fail_input("it has the format version {}, and this program reads {}", format, store_format);
  }
  StageRecord record;
  record.key = json.at("key").get<std::string>();
  record.description = json.at("description");
  for (const auto& [name, file] : json.at("files").items()) {
    record.files[name] = {file.at("size").get<uint64_t>(), file.at("checksum").get<std::string>()};
  }
  return record;
}

/// Throws Error(input) with the reason.
StageRecord check_sizes(const fs::path& folder, const std::string& key) {
  StageRecord record;
  try {
    record = read_stage_record(folder);
  } catch (const Error& error) {
    throw error.at(stage_record_file);
  }
  if (record.key != key) {
    fail_input("{} is of the stage {}", stage_record_file, record.key);
  }
  for (const auto& [name, expected] : record.files) {
    std::error_code error;
    const uint64_t size = fs::file_size(folder / name, error);
    if (error) {
      fail_input("{}: {}", name, error.message());
    }
    if (size != expected.size) {
      fail_input("{} has {} bytes instead of {}", name, size, expected.size);
    }
  }
  return record;
}

void check_contents(const fs::path& folder, const StageRecord& record) {
  for (const auto& [name, expected] : record.files) {
    const std::string checksum = checksum_of(folder / name);
    if (checksum != expected.checksum) {
      fail_input("{} has the checksum {} instead of {}", name, checksum, expected.checksum);
    }
  }
}

}  // namespace

std::map<std::string, StageRecord::File> take_inventory(const fs::path& folder) {
  std::map<std::string, StageRecord::File> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    if (entry.is_symlink() || !(entry.is_directory() || entry.is_regular_file())) {
      fail_run("{} is neither a file nor a folder; a finished stage may hold nothing else",
               entry.path().string());
    }
    if (entry.is_directory()) {
      sync_folder(entry.path());
    } else if (!is_left_out(name)) {
      sync(open_for_reading(entry.path()), entry.path());
      files[name] = {entry.file_size(), checksum_of(entry.path())};
    }
  }
  return files;
}

void write_stage_record(const fs::path& folder, const StageRecord& record) {
  nlohmann::ordered_json files = nlohmann::ordered_json::object();
  for (const auto& [name, file] : record.files) {
    files[name] = {{"size", file.size}, {"checksum", file.checksum}};
  }
  const nlohmann::ordered_json json = {{"format", store_format},
                                       {"key", record.key},
                                       {"description", record.description},
                                       {"files", files}};
  write_file_atomically(folder / stage_record_file,
                        json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

StageRecord read_stage_record(const fs::path& folder) {
  const nlohmann::json content = parse_json_file(folder / stage_record_file);
  try {
    return record_from(content);
  } catch (const nlohmann::json::exception& error) {
    fail_input("it is not what this program writes ({})", exception_text(error));
  }
}

std::optional<std::string> damage_at_a_glance(const fs::path& folder, const std::string& key) {
  try {
    check_sizes(folder, key);
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

std::optional<std::string> damage_in_depth(const fs::path& folder, const std::string& key) {
  try {
    check_contents(folder, check_sizes(folder, key));
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace bissl::host
