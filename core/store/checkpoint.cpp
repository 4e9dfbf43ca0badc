#include "store/checkpoint.h"

#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "bissl/hash.h"
#include "store/safetensors.h"

#include <unistd.h>

#include <cerrno>
#include <string>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using Metadata = std::map<std::string, std::string>;

constexpr const char* format_version = "1";

/// Each part goes in with its length, so that no two contents run together to the same bytes.
void update(Hasher& hasher, std::string_view text) {
  const uint64_t size = text.size();
  hasher.update(&size, sizeof(size)).update(text);
}

/// `tensors` as to_storable makes them.
std::string checksum(const NamedTensors& tensors, const std::string& state) {
  Hasher hasher;
  update(hasher, state);
  for (const auto& [name, tensor] : tensors) {
    update(hasher, name);
    update(hasher, c10::toString(tensor.scalar_type()));
    const int64_t dimensions = tensor.dim();
    hasher.update(&dimensions, sizeof(dimensions));
    hasher.update(tensor.sizes().data(), tensor.sizes().size() * sizeof(int64_t));
    hasher.update(tensor.data_ptr(), tensor.nbytes());
  }
  return hasher.hex();
}

std::string state_text(const nlohmann::json& state) {
  try {
    return finite_json(state).dump();
  } catch (const nlohmann::json::exception&) {
    fail_run("the checkpoint's state holds a text that is not valid UTF-8");
  }
}

const std::string& entry(const Metadata& metadata, const char* name) {
  const auto found = metadata.find(name);
  if (found == metadata.end()) {
    fail_input("it has no {}; it is no checkpoint of bissl", name);
  }
  return found->second;
}

Checkpoint checked(SafetensorsFile content) {
  const std::string& version = entry(content.metadata, "bissl_checkpoint");
  if (version != format_version) {
    fail_input("it has the format version {}, and this program reads {}", version, format_version);
  }
  const std::string& state = entry(content.metadata, "state");
  const std::string& expected = entry(content.metadata, "checksum");
  const std::string found = checksum(content.tensors, state);
  if (found != expected) {
    fail_input("its content has the checksum {}, and it was written with {}", found, expected);
  }
  Checkpoint checkpoint;
  checkpoint.state = nlohmann::json::parse(state, nullptr, /*allow_exceptions=*/false);
  if (checkpoint.state.is_discarded()) {
    fail_input("its state is not valid JSON");
  }
  checkpoint.state = with_non_finite(std::move(checkpoint.state));
  checkpoint.tensors = std::move(content.tensors);
  return checkpoint;
}

}  // namespace

void save_checkpoint(const fs::path& folder, const Checkpoint& checkpoint) {
  NamedTensors stored;
  stored.reserve(checkpoint.tensors.size());
  for (const auto& [name, tensor] : checkpoint.tensors) {
    stored.emplace_back(name, to_storable(name, tensor));
  }
  const std::string state = state_text(checkpoint.state);
  write_safetensors(folder / checkpoint_file, stored,
                    {{"bissl_checkpoint", format_version},
                     {"state", state},
                     {"checksum", checksum(stored, state)}});
}

std::optional<Checkpoint> load_checkpoint(const fs::path& folder) {
  const fs::path file = folder / checkpoint_file;
  std::error_code error;
  if (fs::symlink_status(file, error).type() == fs::file_type::not_found) {
    return std::nullopt;
  }
  // What cannot be opened is not damaged: another error, without the advice to delete it.
  open_for_reading(file);
  SafetensorsFile content;
  const std::string advice = "Delete it to start the stage again";
  try {
    content = read_safetensors(file);
  } catch (const Error& damage) {
    if (damage.kind() != ErrorKind::input) {
      throw;
    }
    fail_input("damaged checkpoint {}. {}", damage.what(), advice);
  }
  try {
    return checked(std::move(content));
  } catch (const Error& damage) {
    fail_input("damaged checkpoint {}: {}. {}", file.string(), damage.what(), advice);
  }
}

void remove_checkpoint(const fs::path& folder) {
  const fs::path file = folder / checkpoint_file;
  if (::unlink(file.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) {
    fail_run("cannot remove {}: {}", file.string(), std::generic_category().message(errno));
  }
}

}  // namespace bissl::host
