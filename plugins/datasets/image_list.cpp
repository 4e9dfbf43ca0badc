#include "image_list.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

namespace bissl {

uint32_t ImageList::add_folder(std::string path) {
  folders_.push_back(std::move(path));
  return static_cast<uint32_t>(folders_.size() - 1);
}

void ImageList::add(uint32_t folder, std::string_view name, int32_t label) {
  files_.push_back({names_.size(), folder, label});
  names_.append(name).push_back('\0');
}

std::string ImageList::path(int64_t index) const {
  const File& file = files_[static_cast<size_t>(index)];
  return folders_[file.folder] + name(file);
}

namespace {

/// A text in three pieces.
using Pieces = std::array<std::string_view, 3>;

bool is_before(Pieces left, Pieces right) {
  size_t l = 0;
  size_t r = 0;
  while (true) {
    for (; l < left.size() && left[l].empty(); ++l) {
    }
    for (; r < right.size() && right[r].empty(); ++r) {
    }
    if (l == left.size() || r == right.size()) {
      return l == left.size() && r < right.size();
    }
    const size_t length = std::min(left[l].size(), right[r].size());
    if (const int order = left[l].substr(0, length).compare(right[r].substr(0, length))) {
      return order < 0;
    }
    left[l].remove_prefix(length);
    right[r].remove_prefix(length);
  }
}

}  // namespace

std::vector<uint32_t> ImageList::order_of_paths(std::string_view prefix) const {
  std::vector<uint32_t> order(files_.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto pieces = [&](const File& file) {
    const std::string& folder = folders_[file.folder];
    const char* own = name(file);
    const bool absolute = folder.empty() ? *own == '/' : folder.front() == '/';
    return Pieces{absolute ? prefix : std::string_view(), folder, own};
  };
  const auto before = [&](uint32_t left, uint32_t right) {
    const File& l = files_[left];
    const File& r = files_[right];
    return l.folder == r.folder && !folders_[l.folder].empty() ? std::strcmp(name(l), name(r)) < 0
                                                               : is_before(pieces(l), pieces(r));
  };
  if (!std::is_sorted(order.begin(), order.end(), before)) {
    std::sort(order.begin(), order.end(), before);
  }
  return order;
}

void ImageList::sort_from(int64_t begin) {
  std::sort(files_.begin() + begin, files_.end(), [this](const File& left, const File& right) {
    return std::strcmp(name(left), name(right)) < 0;
  });
}

void ImageList::renumber(const std::vector<int32_t>& numbers) {
  for (File& file : files_) {
    file.label = file.label == unlabelled ? unlabelled : numbers[static_cast<size_t>(file.label)];
  }
}

void ImageList::keep(bool labelled) {
  std::erase_if(files_,
                [labelled](const File& file) { return (file.label != unlabelled) != labelled; });
}

std::pair<int64_t, int64_t> ImageList::find_twice() const {
  std::vector<uint32_t> order(files_.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto text = [this](uint32_t place) {
    return std::pair<std::string_view, std::string_view>(folders_[files_[place].folder],
                                                         name(files_[place]));
  };
  std::sort(order.begin(), order.end(), [&](uint32_t left, uint32_t right) {
    const auto l = text(left);
    const auto r = text(right);
    return l != r ? l < r : left < right;
  });
  const auto twice =
      std::adjacent_find(order.begin(), order.end(),
                         [&](uint32_t left, uint32_t right) { return text(left) == text(right); });
  return twice == order.end() ? std::pair<int64_t, int64_t>{-1, -1}
                              : std::pair<int64_t, int64_t>{*twice, *(twice + 1)};
}

void ImageList::shrink() {
  names_.shrink_to_fit();
  files_.shrink_to_fit();
}

}  // namespace bissl
