#pragma once

#include "bissl/dataset.h"
#include "bissl/error.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bissl {

/// An error that is not one image's: it is not skipped.
class SourceError : public Error {
 public:
  using Error::Error;
};

/// How a dataset whose images are decoded when they are asked for reads them.
struct ImageReader {
  int64_t size = 0;  ///< of the dataset
  TargetSpec targets;
  /// Throws Error for an image that cannot be read, SourceError if no image can.
  std::function<Image(int64_t)> read;
  std::function<Target(int64_t)> target;
  std::function<std::string(int64_t)> name;  ///< of the image, for people
  std::string advice;                        ///< against an image that cannot be read
};

/// The images of a dataset, of which some may be broken: such a one is an error, or the next one in
/// the dataset's order that has the same target and can be read takes its place, the same whatever
/// was read before. From several threads at once.
class ReadableImages {
 public:
  /// `broken`: "error" or "skip".
  ReadableImages(ImageReader reader, const std::string& broken);

  Image get(int64_t index) const;
  /// Whether another image takes the place of one that is broken.
  bool skips() const { return broken_ != nullptr; }
  /// For DataNotes: how many images could not be read so far, and which.
  std::vector<std::string> notes() const;

 private:
  bool is_broken(int64_t index) const;
  void note_broken(int64_t index) const;
  Image substitute(int64_t index, const std::string& reason) const;

  ImageReader reader_;
  /// With "skip": 1 for each image that could not be read.
  std::unique_ptr<std::atomic<uint8_t>[]> broken_;
};

/// The first names of a list and the number of the others: "a", "b" and 3 more.
std::string some_of(const std::vector<std::string>& names);

}  // namespace bissl
