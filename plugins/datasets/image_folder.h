#pragma once

#include "folder_walk.h"
#include "image_files.h"
#include "list_file.h"
#include "readable_images.h"

#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/dataset.h"
#include "bissl/file_sequence.h"
#include "bissl/sample_names.h"

#include <cstdint>
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
class ImageFolder : public Dataset,
                    public DataFiles,
                    public FileSequence,
                    public DataNotes,
                    public SampleNames {
 public:
  /// Lists the files and opens none but the list.
  explicit ImageFolder(const ImageFolderOptions& options);

  void* capability(std::string_view id) override {
    return provide<DataFiles, FileSequence, DataNotes, SampleNames>(*this, id);
  }

  int64_t size() const override { return images_.size(); }
  Sample get(int64_t index) const override;
  Target target(int64_t index) const override;
  TargetSpec targets() const override;
  std::string fingerprint() const override { return fingerprint_of_sequence(*this); }
  /// For programs that do not know FileSequence.
  std::vector<DataFile> data_files() const override;
  int64_t file_count() const override;
  DataFile data_file(int64_t place) const override;
  std::vector<std::string> notes() const override;
  std::string sample_name(int64_t index) const override { return images_.path(index); }

 private:
  void list_root();
  void read_list_file();
  void take_folders(FolderContent& content);
  void number_classes(const std::vector<std::string>& found, const std::string& where);
  void choose();
  void order_files();
  ImageReader reader() const;

  std::string place() const { return options_.list.empty() ? options_.root : options_.list; }
  std::string path(int64_t index) const;
  Image read(int64_t index) const;

  ImageFolderOptions options_;
  std::string base_;  ///< what paths are relative to, with a slash behind it
  ImageList images_;
  std::vector<std::string> classes_;
  bool labelled_ = false;  ///< whether the samples have targets
  LeftOut left_out_;
  std::optional<ReadableImages> readable_;
  std::vector<uint32_t> file_order_;  ///< images in the order of their files' names
  int64_t list_place_ = -1;           ///< of the list among the files; −1: there is none
};

}  // namespace bissl
