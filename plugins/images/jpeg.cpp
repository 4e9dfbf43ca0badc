// JPEG by libjpeg-turbo. The library reports errors by a callback that must not return, so the
// calls stand in functions that set a jump target and have no objects with destructors of their
// own.

#include "raster.h"
#include "samples.h"

#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE

#include <jpeglib.h>

#include <jerror.h>

#include <algorithm>
#include <string>

namespace bissl {
namespace {

/// A progressive file of few bytes can ask for any number of passes over a large image.
constexpr int most_scans = 100;

struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

struct JpegProgress {
  jpeg_progress_mgr base;
};

[[noreturn]] void leave(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  errors->base.format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

/// Warnings are about data that is odd or damaged; as in Pillow only a missing end is an error.
void take_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) {
    leave(info);
  }
}

void stop_after_most_scans(j_common_ptr info) {
  if (info->is_decompressor != 0 &&
      reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > most_scans) {
    auto* errors = reinterpret_cast<JpegErrors*>(info->err);
    std::snprintf(errors->message, sizeof errors->message, "it has more than %d scans", most_scans);
    std::longjmp(errors->jump, 1);
  }
}

class JpegDecoder {
 public:
  explicit JpegDecoder(std::string_view bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = leave;
    errors_.base.emit_message = take_message;
    errors_.message[0] = '\0';
    progress_.base.progress_monitor = stop_after_most_scans;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  bool read_header() {
    if (setjmp(errors_.jump) != 0) {
      return false;
    }
    jpeg_create_decompress(&info_);
    info_.progress = &progress_.base;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes_.data()),
                 static_cast<unsigned long>(bytes_.size()));
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  /// Sets what is to come out: in eighths of the size, and in which colours.
  bool start(unsigned eighths, J_COLOR_SPACE colours) {
    if (setjmp(errors_.jump) != 0) {
      return false;
    }
    info_.scale_num = eighths;
    info_.scale_denom = 8;
    info_.out_color_space = colours;
    jpeg_start_decompress(&info_);
    return true;
  }

  /// Reads all rows; `stride` bytes from one to the next.
  bool read_rows(uint8_t* pixels, size_t stride) {
    if (setjmp(errors_.jump) != 0) {
      return false;
    }
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + info_.output_scanline * stride;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  [[noreturn]] void fail() const {
    if (errors_.base.msg_code == JWRN_JPEG_EOF) {
      if (info_.image_height == 0) {
        fail_input("JPEG: is cut short: ends after {} bytes, before its image begins",
                   bytes_.size());
      }
      fail_input("JPEG: is cut short: ends after {} bytes, in row {} of {}", bytes_.size(),
                 info_.output_scanline, std::max(info_.output_height, info_.image_height));
    }
    fail_input("JPEG: cannot be decoded: {}", errors_.message);
  }

  const jpeg_decompress_struct& info() const { return info_; }

  std::string_view exif() const {
    for (jpeg_saved_marker_ptr marker = info_.marker_list; marker != nullptr;
         marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      if (data.starts_with(std::string_view("Exif\0\0", 6))) {
        return data;
      }
    }
    return {};
  }

 private:
  std::string_view bytes_;
  jpeg_decompress_struct info_{};
  JpegErrors errors_{};
  JpegProgress progress_{};
};

/// The fewest eighths that leave the shorter side at what the options ask for or more, among those
/// that the library has vector code for: the others take longer than decoding in full. A function
/// of the file's size and the options alone, so that an image is the same whenever it is read.
unsigned eighths_for(const jpeg_decompress_struct& info, const ImageOptions& options) {
  const int64_t size = std::max(options.size, options.scaled_decoding);
  const int64_t shorter = std::min(info.image_width, info.image_height);
  unsigned eighths = 8;
  while (size > 0 && eighths > 1 && (shorter * (eighths / 2) + 7) / 8 >= size) {
    eighths /= 2;
  }
  return eighths;
}

/// Cyan, magenta, yellow and black to red, green and blue. Adobe's programs store the four
/// inverted; Pillow takes every file for one of theirs, whether it has their marker or not.
Raster from_inverted_inks(const Raster& inks) {
  Raster result = make_raster({3, inks.shape.height, inks.shape.width});
  uint8_t* target = result.pixels.get();
  uint8_t* source = inks.pixels.get();
  for (int64_t i = 0; i < inks.shape.height * inks.shape.width; ++i, source += 4, target += 3) {
    for (int c = 0; c < 4; ++c) {
      source[c] = static_cast<uint8_t>(255 - source[c]);
    }
    cmyk_to_rgb(source, target);
  }
  return result;
}

}  // namespace

Raster decode_jpeg(std::string_view bytes, const ImageOptions& options) {
  JpegDecoder decoder(bytes);
  if (!decoder.read_header()) {
    decoder.fail();
  }
  const jpeg_decompress_struct& info = decoder.info();
  const int orientation = exif_orientation(decoder.exif());  // gone after the last row
  require_size(info.image_width, info.image_height, options);
  const bool gray = info.jpeg_color_space == JCS_GRAYSCALE;
  const bool inks = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  if (!decoder.start(eighths_for(info, options),
                     gray ? JCS_GRAYSCALE : (inks ? JCS_CMYK : JCS_RGB))) {
    decoder.fail();
  }
  Raster raster = make_raster({info.output_components, info.output_height, info.output_width});
  const auto stride = static_cast<size_t>(raster.shape.width * raster.shape.channels);
  if (!decoder.read_rows(raster.pixels.get(), stride)) {
    decoder.fail();
  }
  if (inks) {
    raster = from_inverted_inks(raster);
  }
  raster.full_height = info.image_height;
  raster.full_width = info.image_width;
  raster.orientation = orientation;
  return raster;
}

}  // namespace bissl
