#include "plugins/library_index.h"

#include "base/atomic_file.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "bissl/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <system_error>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int index_format = 1;

json stamp_json(const FileStamp& stamp) {
  return {stamp.device, stamp.inode, stamp.size, stamp.changed_ns};
}

/// Of the program: another one may take other libraries.
json program_stamp() {
  const std::optional<FileStamp> stamp = stamp_of_file("/proc/self/exe");
  return stamp ? stamp_json(*stamp) : json();
}

json library_json(const IndexedLibrary& indexed) {
  json components = json::array();
  for (const auto& [kind, name] : indexed.components) {
    components.push_back({static_cast<int>(kind), name});
  }
  const LibraryIdentity& library = indexed.library;
  return {{"path", library.path},
          {"name", library.name},
          {"version", library.version},
          {"license", library.license},
          {"compiler", library.compiler},
          {"cxx_abi_version", library.cxx_abi_version},
          {"stamp", stamp_json(library.file)},
          {"components", std::move(components)}};
}

/// Throws json::exception for anything that write_library_index does not write.
IndexedLibrary library_of(const json& record, const FileStamp& stamp) {
  IndexedLibrary indexed;
  indexed.library = {.path = record.at("path").get<std::string>(),
                     .name = record.at("name").get<std::string>(),
                     .version = record.at("version").get<std::string>(),
                     .license = record.at("license").get<std::string>(),
                     .compiler = record.at("compiler").get<std::string>(),
                     .cxx_abi_version = record.at("cxx_abi_version").get<uint32_t>(),
                     .file = stamp};
  for (const json& component : record.at("components")) {
    indexed.components.emplace_back(static_cast<ComponentKind>(component.at(0).get<int>()),
                                    component.at(1).get<std::string>());
  }
  return indexed;
}

std::vector<IndexedLibrary> libraries_of(const json& index,
                                         const std::vector<fs::path>& libraries) {
  const json& records = index.at("libraries");
  if (index.at("format") != index_format || index.at("program") != program_stamp() ||
      records.size() != libraries.size()) {
    return {};
  }
  std::vector<IndexedLibrary> found;
  for (size_t i = 0; i < libraries.size(); ++i) {
    const std::optional<FileStamp> stamp = stamp_of_file(libraries[i].string());
    if (!stamp || records.at(i).at("path") != libraries[i].string() ||
        records.at(i).at("stamp") != stamp_json(*stamp)) {
      return {};
    }
    found.push_back(library_of(records.at(i), *stamp));
  }
  return found;
}

}  // namespace

std::optional<std::vector<IndexedLibrary>> read_library_index(
    const fs::path& file, const std::vector<fs::path>& libraries) {
  const std::optional<json> index = read_json_if_there(file);
  if (!index || libraries.empty()) {
    return std::nullopt;
  }
  try {
    std::vector<IndexedLibrary> found = libraries_of(*index, libraries);
    return found.empty() ? std::nullopt : std::optional(std::move(found));
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

void write_library_index(const fs::path& file, const std::vector<IndexedLibrary>& libraries) {
  json records = json::array();
  std::transform(libraries.begin(), libraries.end(), std::back_inserter(records), library_json);
  try {
    fs::create_directories(file.parent_path());
    write_file_atomically(file, json_text({{"format", index_format},
                                           {"program", program_stamp()},
                                           {"libraries", std::move(records)}},
                                          1));
  } catch (const std::exception&) {
    // It is made again by the next process.
  }
}

}  // namespace bissl::host
