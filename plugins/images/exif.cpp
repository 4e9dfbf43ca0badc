#include "raster.h"

namespace bissl {
namespace {

/// Numbers of a TIFF structure in its own byte order; 0 beyond its end.
class ExifBytes {
 public:
  explicit ExifBytes(std::string_view bytes) : bytes_(bytes), little_(bytes.starts_with("II")) {}

  uint32_t number(size_t at, size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) {
      return 0;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value = value << 8 | static_cast<uint8_t>(bytes_[little_ ? at + size - 1 - i : at + i]);
    }
    return value;
  }

 private:
  std::string_view bytes_;
  bool little_;
};

}  // namespace

int exif_orientation(std::string_view exif) {
  constexpr std::string_view identifier("Exif\0\0", 6);
  if (exif.starts_with(identifier)) {
    exif.remove_prefix(identifier.size());
  }
  constexpr uint32_t orientation_tag = 0x0112;
  constexpr uint32_t type_short = 3;
  constexpr size_t entry_size = 12;
  const ExifBytes bytes(exif);
  if ((!exif.starts_with("II") && !exif.starts_with("MM")) || bytes.number(2, 2) != 42) {
    return 1;
  }
  const size_t directory = bytes.number(4, 4);
  const size_t entries = bytes.number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * entry_size;
    if (bytes.number(entry, 2) == orientation_tag && bytes.number(entry + 2, 2) == type_short &&
        bytes.number(entry + 4, 4) == 1) {
      const uint32_t value = bytes.number(entry + 8, 2);
      return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
    }
  }
  return 1;
}

}  // namespace bissl
