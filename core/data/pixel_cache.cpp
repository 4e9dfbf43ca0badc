#include "data/pixel_cache.h"

#include "base/exception_text.h"
#include "base/posix_file.h"
#include "bissl/crops.h"
#include "bissl/error.h"
#include "bissl/hash.h"
#include "data/content_hashes.h"
#include "data/pixel_file.h"
#include "plugins/guard.h"
#include "telemetry/interrupt.h"
#include "telemetry/limits.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr const char* complete_suffix = ".pixels";
constexpr const char* partial_suffix = ".part";
/// Samples that are decoded side by side and written together.
constexpr int64_t block_samples = 256;

OwnedImage own(const Image& image) {
  return {image.shape, {image.pixels, image.pixels + image.shape.elements()}};
}

/// Values in 0 … 1 as samples, each `step` behind the one before it. Rounded as std::lround does,
/// whose calls took three times as long.
void write_samples(const float* values, int64_t count, int64_t step, uint8_t* target) {
  constexpr float white = 255;
  for (int64_t i = 0; i < count; ++i, target += step) {
    const float value = white * std::min(std::max(values[i], 0.0F), 1.0F);
    const auto whole = static_cast<int>(value);
    *target = static_cast<uint8_t>(value - static_cast<float>(whole) >= 0.5F ? whole + 1 : whole);
  }
}

/// The image with its shorter side reduced to `side`.
OwnedImage reduced(const Image& image, int64_t side) {
  if (image.type != PixelType::uint8) {
    fail_input(
        "its images have samples of 16 bits, and decoded copies hold 8 bits: leave `cache_pixels` "
        "away");
  }
  const ImageShape& from = image.shape;
  const int64_t shorter = std::min(from.height, from.width);
  if (shorter <= side) {
    return own(image);
  }
  const auto scaled = [&](int64_t length) {
    return std::max<int64_t>(1, std::llround(double(length) * double(side) / double(shorter)));
  };
  const ImageShape shape{from.channels, scaled(from.height), scaled(from.width)};
  // Kept for the thread's next image: fresh pages for each would cost as much as the scaling.
  thread_local std::vector<float> values;
  values.resize(static_cast<size_t>(shape.elements()));
  resized_crop(image, {0, 0, from.height, from.width}, {shape, values.data()});
  OwnedImage result{shape, std::vector<uint8_t>(values.size())};
  const int64_t area = shape.height * shape.width;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    write_samples(values.data() + channel * area, area, shape.channels,
                  result.pixels.data() + channel);
  }
  return result;
}

/// Decodes samples `first` … `first + count − 1`, several at once. Throws the exception of the
/// first sample that has one.
std::vector<OwnedImage> decode(const Dataset& dataset, int64_t first, int64_t count, int64_t side,
                               int threads) {
  std::vector<OwnedImage> block(static_cast<size_t>(count));
  std::vector<std::exception_ptr> failures(static_cast<size_t>(count));
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    for (int64_t i = next++; i < count; i = next++) {
      try {
        block[i] = reduced(dataset.get(first + i).image, side);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> workers;
  for (int i = 1; i < threads; ++i) {
    workers.emplace_back(work);
  }
  work();
  for (std::thread& worker : workers) {
    worker.join();
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) {
      std::rethrow_exception(failure);
    }
  }
  return block;
}

FileDescriptor open_part(const fs::path& part, int flags) {
  constexpr mode_t for_all = 0666;
  return FileDescriptor(::open(part.c_str(), O_RDWR | O_CLOEXEC | flags, for_all));
}

/// Whether the open file is still the one that has this name.
bool has_name(const FileDescriptor& open, const fs::path& file) {
  struct stat own {};
  struct stat named {};
  return fstat(open.get(), &own) == 0 && ::stat(file.c_str(), &named) == 0 &&
         own.st_dev == named.st_dev && own.st_ino == named.st_ino;
}

/// Holds the right to make a file until its end, as long as the process lives.
class BuildLock {
 public:
  /// Waits until nobody else has it.
  explicit BuildLock(const fs::path& part) {
    do {  // what was waited for may have got another name, or been removed
      open_ = open_part(part, O_CREAT);
      if (!open_.valid()) {
        fail_write(part, errno);
      }
      wait();
    } while (!has_name(open_, part));
  }

 private:
  void wait() const {
    // A file system without locks has none of them refused; the last to finish then wins.
    while (flock(open_.get(), LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
      if (interrupted()) {
        throw Interrupted();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  FileDescriptor open_;
};

/// Whether the last write is younger than an hour: where there is no lock to take, the file may
/// then be one that is being made.
bool is_young(const fs::path& file) {
  std::error_code gone;
  const fs::file_time_type written = fs::last_write_time(file, gone);
  return !gone && fs::file_time_type::clock::now() - written < std::chrono::hours(1);
}

/// Takes the lock of a file that is begun, held as long as `open` is; false where a process that
/// makes the file has it.
bool take_lock(const fs::path& part, FileDescriptor& open) {
  open = open_part(part, 0);
  int code = 0;
  do {
    code = flock(open.get(), LOCK_EX | LOCK_NB);
  } while (code != 0 && errno == EINTR);
  return code == 0 || (errno != EWOULDBLOCK && !is_young(part));
}

void touch(const fs::path& file) {
  utimensat(AT_FDCWD, file.c_str(), nullptr, 0);  // only the order of removal depends on it
}

/// Removes files that were opened longest ago until the rest keeps to the limit; neither `newest`
/// nor what is being made.
void make_room(const PixelCacheSettings& settings, const fs::path& newest) {
  const std::vector<PixelCacheFile> files = list_pixel_caches(settings.folder);
  uint64_t all = 0;
  for (const PixelCacheFile& file : files) {
    all += file.bytes;
  }
  for (const PixelCacheFile& file : files) {
    if (all <= settings.limit) {
      return;
    }
    std::error_code ignored;
    if (file.file != newest && remove_pixel_cache(file.file, ignored)) {
      all -= file.bytes;
    }
  }
}

void decode_all(const Dataset& dataset, int64_t side, const PixelCacheSettings& settings,
                PixelFileWriter& writer) {
  const int threads = settings.threads > 0 ? settings.threads : usual_threads();
  const int64_t all = dataset.size();
  while (writer.samples() < all) {
    if (settings.progress) {
      settings.progress(writer.samples(), all);
    }
    if (interrupted()) {
      throw Interrupted();
    }
    const int64_t count = std::min(block_samples, all - writer.samples());
    writer.append(decode(dataset, writer.samples(), count, side, threads));
    if (writer.bytes() > settings.limit) {
      fail_input(
          "the decoded pixels of the first {} of {} samples take more than the {} that all of them "
          "may take. Keep smaller images (`cache_pixels`), or set $BISSL_PIXEL_CACHE_LIMIT, such "
          "as 200G",
          writer.samples(), all, bytes_text(double(settings.limit)));
    }
  }
  if (settings.progress) {
    settings.progress(all, all);
  }
}

/// Makes the file `complete` if it is not there.
void build(const Dataset& dataset, int64_t side, const std::string& source,
           const fs::path& complete, const PixelCacheSettings& settings) {
  make_folder(settings.folder);
  const fs::path part = fs::path(complete).replace_extension(partial_suffix);
  const BuildLock lock(part);
  if (fs::exists(complete)) {  // another process has made it meanwhile
    std::error_code ignored;
    fs::remove(part, ignored);
    return;
  }
  PixelFileWriter writer(part, source);
  try {
    decode_all(dataset, side, settings, writer);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::input && writer.bytes() > settings.limit) {
      std::error_code ignored;
      fs::remove(part, ignored);
    }
    throw;
  }
  writer.finish();
  rename_path(part, complete);
  sync_folder(settings.folder);
  make_room(settings, complete);
}

/// What makes the pixels of the fingerprint's content: a fingerprint may be of files alone, which
/// the component's parameters say how to read.
std::string reading_of(const Dataset& dataset) {
  const auto* guard = dynamic_cast<const Guard*>(&dataset);
  if (guard == nullptr) {
    return "";
  }
  const ComponentChoice& choice = guard->choice();
  std::string text = choice.component->qualified_name() + " " + choice.component->library.version;
  for (const ParameterSpec& spec : choice.component->info.parameters) {
    if (!spec.execution_only()) {
      text += fmt::format(" {}={}", spec.name, to_toml(choice.values.at(spec.name)));
    }
  }
  return ", read as " + hash_hex(text);
}

class CachedPixels : public Dataset {
 public:
  CachedPixels(std::shared_ptr<const Dataset> inner, const std::string& source,
               const fs::path& file)
      : inner_(std::move(inner)),
        fingerprint_(hash_hex("pixels of " + source)),
        pixels_(std::make_shared<const PixelFile>(file, source)) {
    if (pixels_->samples() != inner_->size()) {
      fail_run("{} has the pixels of {} samples, and the data has {}. Remove the file",
               file.string(), pixels_->samples(), inner_->size());
    }
  }

  int64_t size() const override { return pixels_->samples(); }
  Sample get(int64_t index) const override {
    Sample sample{.image = pixels_->image(index), .target = inner_->target(index)};
    sample.image.owner = pixels_;
    return sample;
  }
  Target target(int64_t index) const override { return inner_->target(index); }
  TargetSpec targets() const override { return inner_->targets(); }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  std::shared_ptr<const Dataset> inner_;
  std::string fingerprint_;
  std::shared_ptr<const PixelFile> pixels_;
};

}  // namespace

fs::path pixel_cache_folder() { return cache_folder("pixels"); }

uint64_t pixel_cache_limit() {
  constexpr uint64_t usual = 50'000'000'000;
  const char* text = std::getenv("BISSL_PIXEL_CACHE_LIMIT");
  if (text == nullptr) {
    return usual;
  }
  const std::string words = text;
  double number = 0;
  const char* end = words.data() + words.size();
  const auto [rest, error] = std::from_chars(words.data(), end, number);
  const std::string unit(rest, end);
  constexpr std::string_view units = "KMGT";
  const size_t power = unit.empty() ? 0 : units.find(unit.front()) + 1;
  if (error != std::errc() || unit.size() > 1 || (unit.size() == 1 && power == 0) ||
      !(number >= 0)) {
    fail_input(
        "BISSL_PIXEL_CACHE_LIMIT = \"{}\" in the environment is no size; expected a number of "
        "bytes, such as 20G (K, M, G, T)",
        words);
  }
  constexpr double thousand = 1000;
  constexpr double most = 1e18;
  return static_cast<uint64_t>(std::min(most, number * std::pow(thousand, double(power))));
}

std::shared_ptr<const Dataset> with_cached_pixels(std::shared_ptr<const Dataset> dataset,
                                                  int64_t side,
                                                  const PixelCacheSettings& settings) {
  if (dataset->targets().kind == TargetKind::mask) {
    fail_input(
        "cache_pixels = {}: the targets are masks, which belong to the images as they are; leave "
        "`cache_pixels` "
        "away",
        side);
  }
  if (settings.folder.empty()) {
    fail_input(
        "cache_pixels = {}: there is no folder for decoded pixels: set $XDG_CACHE_HOME or $HOME to "
        "an "
        "absolute path",
        side);
  }
  const std::string source =
      fmt::format("{} at {} pixels{}", dataset->fingerprint(), side, reading_of(*dataset));
  const fs::path file = settings.folder / (hash_hex(source) + complete_suffix);
  if (!fs::exists(file)) {
    build(*dataset, side, source, file, settings);
  }
  touch(file);
  return std::make_shared<const CachedPixels>(std::move(dataset), source, file);
}

bool is_being_made(const fs::path& file) {
  FileDescriptor open;
  return file.extension() == partial_suffix && !take_lock(file, open);
}

bool remove_pixel_cache(const fs::path& file, std::error_code& error) {
  error.clear();
  FileDescriptor open;  // until the file is gone, so that nobody begins to make it in between
  if (file.extension() == partial_suffix && !take_lock(file, open)) {
    return false;
  }
  return fs::remove(file, error);
}

std::vector<PixelCacheFile> list_pixel_caches(const fs::path& folder) {
  std::vector<PixelCacheFile> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const fs::path suffix = entry.path().extension();
    std::error_code gone;
    if (!entry.is_regular_file(gone) || (suffix != complete_suffix && suffix != partial_suffix)) {
      continue;
    }
    PixelCacheFile file;
    file.file = entry.path();
    file.bytes = entry.file_size(gone);
    file.opened = entry.last_write_time(gone);
    try {
      PixelFileHead head = read_pixel_file_head(entry.path());
      file.source = std::move(head.source);
      file.samples = head.samples;
      file.complete = suffix == complete_suffix && head.complete;
    } catch (const Error&) {
      file.source = "not readable";  // it is listed, so that it can be removed
    }
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const PixelCacheFile& left, const PixelCacheFile& right) {
              return std::pair(left.opened, left.file) < std::pair(right.opened, right.file);
            });
  return files;
}

}  // namespace bissl::host
