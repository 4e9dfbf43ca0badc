#pragma once

#include "idx_files.h"

#include "bissl/dataset.h"

#include <string>
#include <vector>

namespace bissl {

/// How the content of IDX files is meant.
struct IdxMeaning {
  std::vector<std::string> class_names;
  int64_t first_label = 0;  ///< the label of the first class
  bool transposed = false;  ///< rows and columns of the images are exchanged (EMNIST)
  int64_t channels = 1;     ///< of the images that are handed out; each has the gray values
};

/// The images and labels of one split, held in memory as bytes and handed out without copying.
class IdxDataset : public Dataset {
 public:
  /// Reads both files: gray images of 28 × 28 and a label for each, one of as many as there are
  /// class names. Throws Error(ErrorKind::input) for anything else.
  IdxDataset(const IdxFiles& files, IdxMeaning meaning);

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  Sample get(int64_t index) const override;
  Target target(int64_t index) const override;
  TargetSpec targets() const override {
    return TargetSpec::named(TargetKind::category, class_names_);
  }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  void check_index(int64_t index) const;

  int64_t channels_;
  std::vector<uint8_t> pixels_;
  std::vector<uint8_t> labels_;
  std::vector<std::string> class_names_;
  std::string fingerprint_;
};

}  // namespace bissl
