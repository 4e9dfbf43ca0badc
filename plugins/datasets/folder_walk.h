#pragma once

#include "image_list.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl {

/// What a walk through a folder left out.
struct LeftOut {
  int64_t hidden = 0;         ///< files and folders whose name begins with a dot
  int64_t other_files = 0;    ///< that are not called like images
  int64_t broken_links = 0;   ///< symbolic links that lead nowhere
  int64_t closed_links = 0;   ///< symbolic links to what cannot be looked at
  int64_t seen_folders = 0;   ///< folders that links lead to a second time within a class
  int64_t special_files = 0;  ///< pipes, sockets, devices

  /// In words, empty if nothing was: "3 hidden files or folders, 1 file that is not called like an
  /// image".
  std::string text() const;
};

/// The images below a folder.
struct FolderContent {
  ImageList images;                  ///< labelled by the place of their folder in `folders`
  std::vector<std::string> folders;  ///< those in the root itself, in the order of their bytes
  std::vector<int64_t> counts;       ///< the images below each of them
  LeftOut left_out;
};

/// Finds all images below `root`: those in the root itself, which have no label, and those below
/// each of its folders, at any depth. Symbolic links to files and folders are followed; a folder is
/// entered once below each folder of the root, so circles end. Files and folders are in the order
/// of their bytes, files first. Takes time and memory in proportion to the number of files; no file
/// is opened.
///
/// Throws Error(ErrorKind::input) for a root that is no folder, for a folder that cannot be read,
/// and for folders that are nested more than 64 deep.
FolderContent walk_folder(const std::string& root);

}  // namespace bissl
