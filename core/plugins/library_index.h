#pragma once

#include "plugins/component.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// What a library registered when it was last loaded.
struct IndexedLibrary {
  LibraryIdentity library;
  std::vector<std::pair<ComponentKind, std::string>> components;  ///< kinds and names
};

/// The record of a folder's libraries in `file`: exactly of `libraries`, in their order. Nothing
/// where there is no such record, or where the program or a library is not the file that it was,
/// by size, time of the last change and place on the disk.
std::optional<std::vector<IndexedLibrary>> read_library_index(
    const std::filesystem::path& file, const std::vector<std::filesystem::path>& libraries);

/// Keeps the record for later processes, which may write it at the same time. That it cannot be
/// kept is no error.
void write_library_index(const std::filesystem::path& file,
                         const std::vector<IndexedLibrary>& libraries);

}  // namespace bissl::host
