#pragma once

#include "report/report.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// Width and height of a PNG as its first 24 bytes say; none for what is no PNG.
std::optional<std::pair<int64_t, int64_t>> png_size(const std::string& png);

/// The cells of a line of CSV. None spans lines.
std::vector<std::string> cells_of_line(const std::string& line);

/// The lines of a CSV file that this program has written, the titles first. Lines of another length
/// than the titles are left out. Empty where the file is not there, cannot be read or has more than
/// 8 MiB: what it says of a picture is then missing, and the picture is not.
std::vector<std::vector<std::string>> lines_of_csv(const std::filesystem::path& file);

/// What sheets of images a page shows, and which it leaves out.
struct PictureSheets {
  std::vector<ReportImage> images;
  std::vector<std::string> notes;
};

/// The sheets of nearest neighbours and of saliency that stages of kind "analyse" have left in
/// their folders (by stage), each with words by the CSV beside it. Left out, with a note, is what
/// has more than 8 MiB, what would make all of them more than 16 MiB, and what is no PNG.
PictureSheets picture_sheets(const std::map<std::string, std::filesystem::path>& folders);

}  // namespace bissl::host
