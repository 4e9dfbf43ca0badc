#pragma once

#include "image_list.h"

#include <string>
#include <string_view>
#include <vector>

namespace bissl {

/// The images that a list names.
struct ListContent {
  ImageList images;  ///< in the list's order, labelled by the place of their label in `labels`
  std::vector<std::string> labels;  ///< all that occur, in the order of their bytes
};

/// Reads a list of images: `path[,label]` on each line, UTF-8 with or without a byte order mark,
/// lines ended by LF or CRLF, fields in double quotes if they hold commas, quotes or line ends (a
/// quote is doubled). A first line `path` or `path,label` is a heading; empty lines are left out. A
/// label that is missing or empty is none. `name` is the file's, for errors.
///
/// Throws Error(ErrorKind::input) with the line for everything else: zeros, a third field, quotes
/// that do not end, blanks around a field, an empty path, a path that is named twice.
ListContent read_list(std::string_view text, const std::string& name);

}  // namespace bissl
