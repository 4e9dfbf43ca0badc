#pragma once

#include "folder_walk.h"
#include "image_files.h"
#include "list_file.h"

#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/dataset.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

struct ImageFolderOptions {
  std::string root;
  std::string list;
  std::vector<std::string> class_names;
  std::vector<std::string> unlabelled;
  std::optional<std::string> take;
  std::string broken = "error";
  ImageOptions image;
};

/// A user's own images: ROOT/CLASS/…, a flat folder, or a list of files; decoded at each `get`.
class ImageFolder : public Dataset, public DataFiles, public DataNotes {
 public:
  /// Lists the files and opens none but the list.
  explicit ImageFolder(const ImageFolderOptions& options);

  void* capability(std::string_view id) override {
    return provide<DataFiles, DataNotes>(*this, id);
  }

  int64_t size() const override { return images_.size(); }
  Sample get(int64_t index) const override;
  Target target(int64_t index) const override;
  TargetSpec targets() const override;
  std::string fingerprint() const override { return fingerprint_of_files(data_files()); }
  std::vector<DataFile> data_files() const override;
  std::vector<std::string> notes() const override;

 private:
  void list_root();
  void read_list_file();
  void take_folders(FolderContent& content);
  void number_classes(const std::vector<std::string>& found, const std::string& where);
  void choose();

  std::string place() const { return options_.list.empty() ? options_.root : options_.list; }
  std::string path(int64_t index) const;
  std::string name_of_label(int64_t index) const;
  Image read(int64_t index) const;
  Image substitute(int64_t index, const std::string& reason) const;
  bool is_broken(int64_t index) const;

  ImageFolderOptions options_;
  std::string base_;  ///< what paths are relative to, with a slash behind it
  ImageList images_;
  std::vector<std::string> classes_;
  bool labelled_ = false;  ///< whether the samples have targets
  LeftOut left_out_;
  /// With broken = "skip": 1 for each sample that could not be read.
  mutable std::unique_ptr<std::atomic<uint8_t>[]> broken_;
};

}  // namespace bissl
