#include "bissl/error.h"
#include "data/pixel_file.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {
namespace {

/// A cache's file that is damaged is nobody's wrong input: it is an error of the run.
template <class Function>
void or_error(const Function& function) {
  try {
    function();
  } catch (const Error&) {  // NOLINT: the right answer
  }
}

}  // namespace

void fuzz_pixel_file(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.pixels";
  write_file(file, std::string(bytes));
  or_error([&] {
    const PixelFile pixels(file, "made up");
    uint64_t sum = 0;
    for (int64_t i = 0; i < pixels.samples(); ++i) {
      const Image image = pixels.image(i);
      promise(image.bytes() <= static_cast<int64_t>(bytes.size()), "pixels lie in the file");
      for (int64_t k = 0; k < image.bytes(); ++k) {
        sum += image.pixels[k];
      }
    }
    promise(sum <= 255 * bytes.size() * static_cast<uint64_t>(pixels.samples() + 1), "bytes");
  });
  or_error([&] { promise(read_pixel_file_head(file).samples >= 0, "a number of samples"); });
  PixelFileWriter writer(file, "made up");
  const int64_t before = writer.samples();
  writer.append({{{1, 1, 2}, {3, 4}}});
  writer.finish();
  const auto taken = static_cast<uint64_t>(before) + 1;
  or_error([&] {
    const PixelFile pixels(file, "made up");
    promise(static_cast<uint64_t>(pixels.samples()) == taken, "what is continued has all samples");
    promise(pixels.image(before).pixels[1] == 4, "what was appended is there");
  });
}

}  // namespace bissl::host::test
