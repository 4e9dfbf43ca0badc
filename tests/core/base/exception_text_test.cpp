#include "base/exception_text.h"

#include "bissl/error.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

namespace bissl::host {
namespace {

std::string text_of(const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    return current_exception_text();
  }
  return "nothing was thrown";
}

TEST(ExceptionText, OfLibTorchIsItsFirstLineWithoutFrames) {
  const std::string text = text_of([] { at::zeros({2}).add(at::zeros({3})); });
  EXPECT_NE(text.find("size of tensor a (2)"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  EXPECT_EQ(text.find("frame #"), std::string::npos) << text;
}

TEST(ExceptionText, OfAnAllocatorIsARefusalWithASize) {
  const auto allocate = [] { at::empty({int64_t{1} << 55}); };
  EXPECT_EQ(text_of(allocate), "not enough memory: 144 PB were to be allocated at once");
  try {
    allocate();
  } catch (const std::exception& exception) {
    EXPECT_TRUE(is_out_of_memory(exception));
  }
  EXPECT_EQ(without_library_dumps("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 79 GiB "
                                  "total capacity; 3 GiB already allocated)"),
            "not enough memory on the device: 2.00 GiB were to be allocated at once");
  EXPECT_EQ(text_of([] { throw std::bad_alloc(); }), "not enough memory");
  EXPECT_EQ(text_of([] { std::vector<char>().reserve(size_t(-1)); }).find("not enough memory: "),
            size_t{0});
}

TEST(ExceptionText, OfTheJsonLibraryHasNoCode) {
  for (const std::string& text : {text_of([] { EXPECT_TRUE(nlohmann::json::parse("{").empty()); }),
                                  text_of([] { nlohmann::json(nullptr).get<double>(); }),
                                  text_of([] { nlohmann::json::object().at("a"); }),
                                  text_of([] { nlohmann::json("\xFF").dump(); })}) {
    EXPECT_EQ(text.find("json.exception"), std::string::npos) << text;
    EXPECT_EQ(text.find('['), std::string::npos) << text;
    EXPECT_GT(text.size(), size_t{10});
  }
}

TEST(ExceptionText, OfAFileNamesThePathOnce) {
  EXPECT_EQ(text_of([] {
              const auto size = std::filesystem::file_size("/no/such/file");
              EXPECT_EQ(size, 0U);
            }),
            "/no/such/file: No such file or directory");
}

TEST(ExceptionText, OfAnErrorKeepsItsLinesButNoFrames) {
  EXPECT_EQ(text_of([] { fail_input("first\nsecond"); }), "first\nsecond");
  EXPECT_EQ(text_of([] {
              fail_run(
                  "wrapped: sizes differ\nException raised from a at b:1 (most "
                  "recent call first):\nframe #0: c");
            }),
            "wrapped: sizes differ");
  EXPECT_EQ(text_of([] { throw std::runtime_error("x\nframe #0: y"); }), "x");
  EXPECT_EQ(text_of([] { throw 3; }), "an exception that is not a std::exception");
}

TEST(ExceptionText, SizesAreShort) {
  EXPECT_EQ(bytes_text(12), "12 bytes");
  EXPECT_EQ(bytes_text(1234567), "1.23 MB");
  EXPECT_EQ(bytes_text(6.272e15), "6.27 PB");
}

}  // namespace
}  // namespace bissl::host
