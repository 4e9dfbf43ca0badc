#include "folder_walk.h"

#include "image_files.h"

#include "bissl/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

namespace bissl {
namespace {

constexpr int deepest = 64;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

enum class EntryKind { file, folder, hidden, other_file, broken_link, closed_link, special };

EntryKind kind_of(DIR* folder, const dirent& entry) {
  if (entry.d_name[0] == '.') {
    return EntryKind::hidden;
  }
  auto type = entry.d_type;
  if (type == DT_LNK || type == DT_UNKNOWN) {
    struct stat status {};
    if (::fstatat(::dirfd(folder), entry.d_name, &status, 0) != 0) {
      const bool nowhere = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
      return nowhere ? EntryKind::broken_link : EntryKind::closed_link;
    }
    type = S_ISREG(status.st_mode) ? DT_REG : (S_ISDIR(status.st_mode) ? DT_DIR : DT_FIFO);
  }
  if (type == DT_DIR) {
    return EntryKind::folder;
  }
  if (type != DT_REG) {
    return EntryKind::special;
  }
  return is_image_name(entry.d_name) ? EntryKind::file : EntryKind::other_file;
}

class Walk {
 public:
  Walk(std::string root, FolderContent& content) : root_(std::move(root)), content_(content) {}

  void run() {
    content_.folders = enter("", ImageList::unlabelled);
    root_seen_ = seen_;
    for (size_t i = 0; i < content_.folders.size(); ++i) {
      seen_ = root_seen_;
      const int64_t before = content_.images.size();
      below(content_.folders[i] + "/", static_cast<int32_t>(i), 1);
      content_.counts.push_back(content_.images.size() - before);
    }
  }

 private:
  void below(const std::string& path, int32_t label, int depth) {
    if (depth > deepest) {
      fail_input("{}: folders are nested more than {} deep", root_ + path, deepest);
    }
    for (const std::string& name : enter(path, label)) {
      below(path + name + "/", label, depth + 1);
    }
  }

  /// Adds the images of a folder (its path below the root, empty or with a slash behind it) and
  /// returns the names of the folders in it.
  std::vector<std::string> enter(const std::string& path, int32_t label) {
    const Folder folder = open(path);
    if (!is_new(folder.get(), path)) {
      ++content_.left_out.seen_folders;
      return {};
    }
    const uint32_t number = content_.images.add_folder(path);
    const int64_t begin = content_.images.size();
    std::vector<std::string> folders;
    while (const dirent* entry = next(folder.get(), path)) {
      take(folder.get(), *entry, number, label, folders);
    }
    content_.images.sort_from(begin);
    std::sort(folders.begin(), folders.end());
    return folders;
  }

  Folder open(const std::string& path) const {
    Folder folder(::opendir((root_ + path).c_str()));
    if (!folder) {
      const int code = errno;
      fail_input("{}: {}", root_ + path,
                 code == ENOENT    ? "no such folder"
                 : code == ENOTDIR ? "is not a folder"
                                   : std::string("cannot be read: ") + std::strerror(code));
    }
    return folder;
  }

  const dirent* next(DIR* folder, const std::string& path) const {
    errno = 0;
    const dirent* entry = ::readdir(folder);
    if (entry == nullptr && errno != 0) {
      fail_input("{}: cannot be read: {}", root_ + path, std::strerror(errno));
    }
    return entry;
  }

  bool is_new(DIR* folder, const std::string& path) {
    struct stat status {};
    if (::fstat(::dirfd(folder), &status) != 0) {
      fail_input("{}: cannot be read: {}", root_ + path, std::strerror(errno));
    }
    return seen_.insert({status.st_dev, status.st_ino}).second;
  }

  void take(DIR* folder, const dirent& entry, uint32_t number, int32_t label,
            std::vector<std::string>& folders) {
    const std::string_view name = entry.d_name;
    if (name == "." || name == "..") {
      return;
    }
    LeftOut& left_out = content_.left_out;
    switch (kind_of(folder, entry)) {
      case EntryKind::file:
        content_.images.add(number, name, label);
        break;
      case EntryKind::folder:
        folders.emplace_back(name);
        break;
      case EntryKind::hidden:
        ++left_out.hidden;
        break;
      case EntryKind::other_file:
        ++left_out.other_files;
        break;
      case EntryKind::broken_link:
        ++left_out.broken_links;
        break;
      case EntryKind::closed_link:
        ++left_out.closed_links;
        break;
      case EntryKind::special:
        ++left_out.special_files;
        break;
    }
  }

  using Identity = std::pair<dev_t, ino_t>;

  std::string root_;  ///< with a slash behind it
  FolderContent& content_;
  std::set<Identity> seen_;       ///< folders that were entered below this folder of the root
  std::set<Identity> root_seen_;  ///< the root alone
};

}  // namespace

std::string LeftOut::text() const {
  std::string text;
  const auto add = [&text](int64_t count, const char* one, const char* several) {
    if (count > 0) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, count == 1 ? one : several);
    }
  };
  add(hidden, "hidden file or folder", "hidden files or folders");
  add(other_files, "file that is not called like an image",
      "files that are not called like images");
  add(broken_links, "symbolic link that leads nowhere", "symbolic links that lead nowhere");
  add(closed_links, "symbolic link that cannot be followed (no permission, or another error)",
      "symbolic links that cannot be followed (no permission, or another error)");
  add(seen_folders, "folder that links lead to again", "folders that links lead to again");
  add(special_files, "pipe, socket or device", "pipes, sockets or devices");
  return text;
}

FolderContent walk_folder(const std::string& root) {
  FolderContent content;
  Walk(root.ends_with('/') ? root : root + "/", content).run();
  content.images.shrink();
  return content;
}

}  // namespace bissl
