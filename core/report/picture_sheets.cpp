#include "report/picture_sheets.h"

#include "base/posix_file.h"
#include "bissl/error.h"
#include "report/escaping.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t largest_sheet = uintmax_t{8} << 20;
constexpr uintmax_t largest_sheets = uintmax_t{16} << 20;

/// What the CSV beside a sheet says; empty where it is not there or cannot be read.
class SheetTable {
 public:
  explicit SheetTable(const fs::path& file) : lines_(lines_of_csv(file)) {}

  size_t rows() const { return lines_.empty() ? 0 : lines_.size() - 1; }

  /// A cell by its column's title; empty where there is no such column.
  std::string cell(size_t row, const std::string& title) const {
    const std::vector<std::string>& titles = lines_.front();
    const auto found = std::find(titles.begin(), titles.end(), title);
    return found == titles.end() ? ""
                                 : lines_[row + 1][static_cast<size_t>(found - titles.begin())];
  }

 private:
  std::vector<std::vector<std::string>> lines_;
};

void describe_neighbours(const SheetTable& table, ReportImage& image) {
  image.words =
      "Each row is an image with its number and class, then its nearest images of the bank with "
      "their cosines and classes. A green frame: a neighbour has the image's class; an orange one: "
      "it has another; a gray one: it is the image itself, or classes are not known.";
  std::set<std::string> queries;
  size_t known = 0;
  size_t same = 0;
  for (size_t row = 0; row < table.rows(); ++row) {
    queries.insert(table.cell(row, "query number"));
    const std::string category = table.cell(row, "class");
    known += category.empty() ? 0 : 1;
    same += !category.empty() && category == table.cell(row, "neighbour class") ? 1 : 0;
  }
  image.alt =
      queries.empty()
          ? image.title
          : fmt::format("A row for each of {} images, with {} neighbours in all; {}.",
                        queries.size(), table.rows(),
                        known == 0 ? std::string("their classes are not known")
                                   : fmt::format("{} of {} have the image's class", same, known));
}

/// What a network makes of the images of a sheet of saliency.
struct SheetArm {
  std::string network;
  std::string probe;
  size_t images = 0;
  size_t right = 0;
};

/// In the order of the sheet's columns.
std::vector<SheetArm> arms_of(const SheetTable& table) {
  std::vector<SheetArm> arms;
  for (size_t row = 0; row < table.rows(); ++row) {
    const std::string network = table.cell(row, "network");
    auto arm = std::find_if(arms.begin(), arms.end(),
                            [&](const SheetArm& one) { return one.network == network; });
    if (arm == arms.end()) {
      arm = arms.insert(arms.end(), SheetArm{network, table.cell(row, "probe")});
    }
    arm->images += 1;
    arm->right += table.cell(row, "explained class") == table.cell(row, "taken for") ? 1 : 0;
  }
  return arms;
}

void describe_saliency(const SheetTable& table, ReportImage& image) {
  std::vector<std::string> columns;
  std::vector<std::string> answers;
  for (const SheetArm& arm : arms_of(table)) {
    columns.push_back(fmt::format("{} (by its {})", arm.network, arm.probe));
    answers.push_back(fmt::format("{} takes {} of {} for the class that is explained", arm.network,
                                  arm.right, arm.images));
  }
  image.words = fmt::format(
      "Each row is an image as the network sees it, then under the heat of Grad-CAM{}: from yellow "
      "(some) to red (most) what raises the score of its class. A green frame: the network takes "
      "the image for its class; an orange one: for another; a gray one: it is the image itself, or "
      "its class is not known.",
      columns.empty() ? "" : fmt::format(" of {}", fmt::join(columns, ", ")));
  image.alt = answers.empty() ? image.title
                              : fmt::format("A row for each image, alone and under heat; {}.",
                                            fmt::join(answers, "; "));
}

struct SheetKind {
  const char* beginning;
  const char* shows;  ///< the data source follows
  void (*describe)(const SheetTable& table, ReportImage& image);
};

/// By the file's name; null for other files.
const SheetKind* sheet_kind_of(const fs::path& file) {
  static constexpr std::array<SheetKind, 2> kinds{
      {{"neighbours-", "nearest neighbours of images of", &describe_neighbours},
       {"saliency-", "what speaks for the classes of images of", &describe_saliency}}};
  for (const SheetKind& kind : kinds) {
    if (file.extension() == ".png" && file.filename().string().starts_with(kind.beginning)) {
      return &kind;
    }
  }
  return nullptr;
}

std::vector<fs::path> sheets_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code fault;
  for (fs::directory_iterator entry(folder, fault), end; !fault && entry != end;
       entry.increment(fault)) {
    if (sheet_kind_of(entry->path()) != nullptr) {
      files.push_back(entry->path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string mebibytes(uintmax_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

/// The image of a sheet without its words; throws Error for what cannot be shown.
ReportImage read_image(const fs::path& file) {
  std::error_code fault;
  const uintmax_t bytes = fs::file_size(file, fault);
  if (!fault && bytes > largest_sheet) {
    fail_input("it has {}, and a page shows pictures of at most {}", mebibytes(bytes),
               mebibytes(largest_sheet));
  }
  ReportImage image;
  image.png = read_whole(file, largest_sheet);
  const auto size = png_size(image.png);
  if (!size) {
    fail_input("it is no PNG");
  }
  std::tie(image.width, image.height) = *size;
  return image;
}

}  // namespace

std::optional<std::pair<int64_t, int64_t>> png_size(const std::string& png) {
  constexpr size_t header = 24;  // up to the end of the height
  constexpr int64_t largest = int64_t{1} << 20;
  if (png.size() < header || png.compare(0, 8, "\x89PNG\r\n\x1a\n") != 0 ||
      png.compare(12, 4, "IHDR") != 0) {
    return std::nullopt;
  }
  const auto number = [&](size_t at) {
    int64_t value = 0;
    for (size_t i = 0; i < 4; ++i) {
      value = value << 8 | static_cast<uint8_t>(png[at + i]);
    }
    return value;
  };
  const std::pair size(number(16), number(20));
  const bool fits =
      size.first > 0 && size.second > 0 && size.first <= largest && size.second <= largest;
  return fits ? std::optional(size) : std::nullopt;
}

std::vector<std::string> cells_of_line(const std::string& line) {
  std::vector<std::string> cells = {""};
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        cells.back() += line[++i];
      } else {
        quoted = !quoted;
      }
    } else if (line[i] == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  return cells;
}

std::vector<std::vector<std::string>> lines_of_csv(const fs::path& file) {
  std::vector<std::vector<std::string>> lines;
  try {
    const std::string text = read_whole(file, largest_sheet);
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      lines.push_back(cells_of_line(text.substr(begin, end - begin)));
      begin = end + 1;
    }
  } catch (const Error&) {
    return {};
  }
  if (!lines.empty()) {
    const size_t titles = lines.front().size();
    std::erase_if(lines, [&](const auto& line) { return line.size() != titles; });
  }
  return lines;
}

PictureSheets picture_sheets(const std::map<std::string, fs::path>& folders) {
  PictureSheets sheets;
  uintmax_t room = largest_sheets;
  for (const auto& [stage, folder] : folders) {
    for (const fs::path& file : sheets_in(folder)) {
      const SheetKind& kind = *sheet_kind_of(file);
      const std::string name = file.stem().string();
      try {
        ReportImage image = read_image(file);
        if (image.png.size() > room) {
          fail_input("all pictures of a page have at most {}", mebibytes(largest_sheets));
        }
        room -= image.png.size();
        image.name = file_name_part(fmt::format("learnt-{}-{}", stage, name));
        image.title = fmt::format("{}: {} data.{}", stage, kind.shows,
                                  name.substr(std::string(kind.beginning).size()));
        kind.describe(SheetTable(fs::path(file).replace_extension(".csv")), image);
        sheets.images.push_back(std::move(image));
      } catch (const Error& error) {
        sheets.notes.push_back(fmt::format("Left out: the picture {} of {}: {}.",
                                           file.filename().string(), stage, error.what()));
      }
    }
  }
  return sheets;
}

}  // namespace bissl::host
