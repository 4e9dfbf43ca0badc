#include "store/safetensors.h"

#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cstring>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

at::Tensor ramp(std::vector<int64_t> shape, c10::ScalarType type) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  return at::arange(count).remainder(7).reshape(shape).to(type);
}

/// Eight bytes of length, the header as given, the data.
std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + data;
}

class Safetensors : public testing::Test {
 protected:
  /// What reading a file with this content throws, without the file's name.
  std::string complaint(const std::string& content) {
    write_file(file_, content);
    const std::string error = error_of([&] { read_safetensors(file_); });
    const std::string start = "input: " + file_.string() + ": ";
    return error.starts_with(start) ? error.substr(start.size()) : "unexpected form: " + error;
  }
  std::string complaint(const std::string& header, const std::string& data) {
    return complaint(file_of(header, data));
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "w.safetensors";
};

TEST_F(Safetensors, WritesTheBytesOfTheFormat) {
  at::Tensor byte = at::empty({3}, at::kByte);
  std::memcpy(byte.data_ptr(), "\x01\x02\x03", 3);
  const at::Tensor real = at::full({1, 2}, -2.0, at::kFloat);
  write_safetensors(file_, {{"b", byte}, {"weight", real}}, {{"format", "pt"}});
  // 0xC0000000 is -2 in single precision. The reals come first: they need alignment.
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
                             R"("weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  const std::string padding((8 - header.size() % 8) % 8, ' ');
  const std::string data("\0\0\0\xC0\0\0\0\xC0\x01\x02\x03", 11);
  EXPECT_EQ(read_file(file_), file_of(header + padding, data));
}

TEST_F(Safetensors, ReadsAHandMadeFile) {
  // Offsets not in the header's order; the padding and __metadata__ are optional.
  const std::string header = R"({"second":{"data_offsets":[8,9],"shape":[],"dtype":"BOOL"},)"
                             R"("first":{"dtype":"I32","shape":[2,1],"data_offsets":[0,8]}})";
  write_file(file_, file_of(header, std::string("\x05\0\0\0\xFF\xFF\xFF\xFF\x01", 9)));
  const SafetensorsFile content = read_safetensors(file_);
  ASSERT_EQ(content.tensors.size(), 2u);
  EXPECT_EQ(content.tensors[0].name, "second");
  EXPECT_EQ(content.tensors[0].tensor.scalar_type(), at::kBool);
  EXPECT_EQ(content.tensors[0].tensor.dim(), 0);
  EXPECT_TRUE(content.tensors[0].tensor.item<bool>());
  EXPECT_EQ(content.tensors[1].name, "first");
  EXPECT_EQ(content.tensors[1].tensor.sizes().vec(), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(content.tensors[1].tensor[0].item<int>(), 5);
  EXPECT_EQ(content.tensors[1].tensor[1].item<int>(), -1);
  EXPECT_TRUE(content.metadata.empty());
}

TEST_F(Safetensors, RoundTripOfAllTypesKeepsOrderShapeAndValues) {
  NamedTensors tensors;
  for (const auto type : {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong,
                          at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    const std::string name = c10::toString(type);
    tensors.emplace_back(name, ramp({3, 5}, type));
    tensors.emplace_back(name + ".scalar", ramp({}, type));
    tensors.emplace_back(name + ".empty", at::empty({0, 4}, type));
  }
  write_safetensors(file_, tensors, {{"a", "1"}, {"text", "ä \"quoted\"\n"}});
  const SafetensorsFile content = read_safetensors(file_);
  EXPECT_EQ(content.metadata,
            (std::map<std::string, std::string>{{"a", "1"}, {"text", "ä \"quoted\"\n"}}));
  ASSERT_EQ(content.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(content.tensors[i].name, tensors[i].name);
    EXPECT_EQ(content.tensors[i].tensor.scalar_type(), tensors[i].tensor.scalar_type());
    EXPECT_EQ(content.tensors[i].tensor.sizes(), tensors[i].tensor.sizes());
    EXPECT_TRUE(at::equal(content.tensors[i].tensor, tensors[i].tensor)) << tensors[i].name;
  }
}

TEST_F(Safetensors, EveryTensorIsAlignedToItsElement) {
  write_safetensors(file_, {{"a", ramp({3}, at::kByte)},
                            {"b", ramp({1}, at::kHalf)},
                            {"c", ramp({1}, at::kFloat)},
                            {"d", ramp({1}, at::kDouble)}});
  const std::string bytes = read_file(file_);
  uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  EXPECT_EQ(header_size % 8, 0u);
  EXPECT_NE(bytes.find(R"("d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]})"),
            std::string::npos);
  EXPECT_NE(bytes.find(R"("a":{"dtype":"U8","shape":[3],"data_offsets":[14,17]})"),
            std::string::npos);
}

TEST_F(Safetensors, WritesStridedAndExpandedTensorsDense) {
  const at::Tensor matrix = ramp({3, 4}, at::kFloat);
  const at::Tensor learned = ramp({2}, at::kFloat).requires_grad_();
  write_safetensors(file_, {{"t", matrix.t()},
                            {"column", matrix.select(1, 2)},
                            {"expanded", ramp({1, 3}, at::kFloat).expand({5, 3})},
                            {"learned", learned}});
  const SafetensorsFile content = read_safetensors(file_);
  EXPECT_TRUE(at::equal(content.tensors[0].tensor, matrix.t()));
  EXPECT_TRUE(at::equal(content.tensors[1].tensor, matrix.select(1, 2)));
  EXPECT_TRUE(at::equal(content.tensors[2].tensor, ramp({1, 3}, at::kFloat).expand({5, 3})));
  EXPECT_FALSE(content.tensors[3].tensor.requires_grad());
  EXPECT_TRUE(at::equal(content.tensors[3].tensor, learned.detach()));
}

TEST_F(Safetensors, NothingAtAllIsAFileToo) {
  write_safetensors(file_, {});
  EXPECT_EQ(read_file(file_), file_of("{}      ", ""));
  EXPECT_TRUE(read_safetensors(file_).tensors.empty());
}

TEST_F(Safetensors, RefusesToWriteWhatTheFormatCannotHold) {
  const std::string place = "run: cannot write " + file_.string() + ": ";
  const at::Tensor x = ramp({2}, at::kFloat);
  const auto error = [&](const NamedTensors& tensors) {
    return error_of([&] { write_safetensors(file_, tensors); });
  };
  EXPECT_EQ(error({{"x", at::Tensor()}}), place + "tensor \"x\" is undefined and cannot be stored");
  EXPECT_EQ(error({{"x", x.to(at::kComplexFloat)}}),
            place + "tensor \"x\" has the element type ComplexFloat, which safetensors lacks");
  EXPECT_EQ(error({{"x", x}, {"x", x}}),
            place + "two tensors, or a tensor and the metadata, are named \"x\"");
  EXPECT_EQ(error({{"__metadata__", x}}),
            place + "two tensors, or a tensor and the metadata, are named \"__metadata__\"");
  EXPECT_EQ(error({{"\xFF", x}}), place + "a tensor's name or the metadata is not valid UTF-8");
  EXPECT_EQ(listing(folder_.path()), "");
}

TEST_F(Safetensors, FullDiskKeepsTheOldFile) {
  write_safetensors(file_, {{"x", ramp({2}, at::kFloat)}});
  std::string error;
  {
    const FileSizeLimit limit(4096);
    error = error_of([&] { write_safetensors(file_, {{"x", ramp({5000}, at::kFloat)}}); });
  }
  EXPECT_EQ(error, "run: cannot write " + file_.string() +
                       ": File too large. The file system or a limit (ulimit -f) allows no file "
                       "of this size");
  EXPECT_EQ(read_safetensors(file_).tensors[0].tensor.numel(), 2);
  EXPECT_EQ(listing(folder_.path()), "w.safetensors");
}

TEST_F(Safetensors, CutAnywhereItIsRefused) {
  write_safetensors(file_, {{"x", ramp({4}, at::kFloat)}, {"y", ramp({2}, at::kByte)}},
                    {{"k", "v"}});
  const std::string whole = read_file(file_);
  for (size_t size = 0; size < whole.size(); ++size) {
    write_file(file_, whole.substr(0, size));
    EXPECT_NE(error_of([&] { read_safetensors(file_); }).find("it has been cut short"),
              std::string::npos)
        << size;
  }
  EXPECT_EQ(complaint(whole.substr(0, 3)),
            "it has 3 bytes, too few for a safetensors file; it has been cut short");
  EXPECT_EQ(complaint(whole.substr(0, whole.size() - 1)),
            "tensor \"y\" ends at byte 18 of the data, but the file has only 17; it has been cut "
            "short");
  EXPECT_EQ(complaint(whole + "z"), "the last 1 bytes belong to no tensor");
}

TEST_F(Safetensors, AnyChangedByteIsReadOrRefusedButNeverMore) {
  write_safetensors(file_, {{"x", ramp({4}, at::kFloat)}, {"y", ramp({2}, at::kBool)}},
                    {{"k", "v"}});
  const std::string whole = read_file(file_);
  for (size_t place = 0; place < whole.size(); ++place) {
    for (const char value : {'\0', '9', '-', '[', '{', '"', '\xFF'}) {
      std::string changed = whole;
      changed[place] = value;
      write_file(file_, changed);
      const std::string error = error_of([&] { read_safetensors(file_); });
      EXPECT_TRUE(error == "no error" || error.starts_with("input: " + file_.string())) << error;
    }
  }
}

TEST_F(Safetensors, RefusesAbsurdHeaderLengths) {
  EXPECT_EQ(complaint(std::string(8, '\xFF') + "{}"),
            "it says that its header has 18446744073709551615 bytes, and at most 100000000 are "
            "allowed; this is no safetensors file");
  EXPECT_EQ(complaint(std::string("\x03\0\0\0\0\0\0\0{}", 10)),
            "its header should have 3 bytes, but only 2 follow; it has been cut short, or is no "
            "safetensors file");
}

TEST_F(Safetensors, RefusesBrokenHeaders) {
  EXPECT_EQ(complaint("", ""), "the header does not start with \"{\"");
  EXPECT_EQ(complaint("[]", ""), "the header does not start with \"{\"");
  EXPECT_EQ(complaint("{\"a\":", ""), "the header is not valid JSON (at its byte 6)");
  EXPECT_EQ(complaint("{} {}", ""), "the header is not valid JSON (at its byte 4)");
  EXPECT_EQ(complaint("{\"\xFF\":1}", ""), "the header is not valid JSON (at its byte 3)");
  EXPECT_EQ(complaint(R"({"a":7})", ""), "tensor \"a\" is a number, not an object");
  EXPECT_EQ(complaint(R"({"a":[]})", ""), "tensor \"a\" is a list, not an object");
  EXPECT_EQ(complaint(R"({"a":null})", ""), "tensor \"a\" is null, not an object");
  EXPECT_EQ(complaint(R"({"__metadata__":3})", ""),
            "__metadata__ has a number where only texts may be");
  EXPECT_EQ(complaint(R"({"__metadata__":{"a":{}}})", ""),
            "__metadata__ has an object where only texts may be");
  EXPECT_EQ(complaint(R"({"__metadata__":{"a":"1","a":"2"}})", ""),
            "the name \"a\" occurs twice in the metadata");
}

TEST_F(Safetensors, DeepNestingIsRefusedAtOnce) {
  std::string deep = "{\"a\":{\"shape\":";
  deep += std::string(5'000'000, '[');
  EXPECT_EQ(complaint(deep, ""), "tensor \"a\": shape is or holds a list");
}

TEST_F(Safetensors, RefusesBrokenEntries) {
  const auto entry = [&](const std::string& fields) {
    return complaint("{\"a\":{" + fields + "}}", "1234");
  };
  EXPECT_EQ(entry(R"("shape":[1],"data_offsets":[0,4])"), "tensor \"a\" has no dtype");
  EXPECT_EQ(entry(R"("dtype":"F32","data_offsets":[0,4])"), "tensor \"a\" has no shape");
  EXPECT_EQ(entry(R"("dtype":"F32","shape":[1])"), "tensor \"a\" has no data_offsets");
  EXPECT_EQ(entry(R"("dtype":"F31","shape":[1],"data_offsets":[0,4])"),
            "tensor \"a\" has the dtype \"F31\"; known are F64, F32, F16, BF16, I64, I32, I16, I8, "
            "U8, BOOL");
  EXPECT_EQ(entry(R"("dtype":4,"shape":[1],"data_offsets":[0,4])"),
            "tensor \"a\": dtype is or holds a number");
  EXPECT_EQ(entry(R"("dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4])"),
            "tensor \"a\" has its dtype twice");
  EXPECT_EQ(entry(R"("strides":[1])"),
            "tensor \"a\" has a field \"strides\"; known are dtype, shape and data_offsets");
  EXPECT_EQ(entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"),
            "tensor \"a\": shape holds -1, which is negative");
  EXPECT_EQ(entry(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"),
            "tensor \"a\": shape holds 1.5, which is out of range or not an integer");
  EXPECT_EQ(entry(R"("dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4])"),
            "tensor \"a\": shape holds 99999999999999999999, which is out of range or not an "
            "integer");
  EXPECT_EQ(entry(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"),
            "tensor \"a\": shape holds 18446744073709551615, which is out of range");
  EXPECT_EQ(entry(R"("dtype":"F32","shape":["1"],"data_offsets":[0,4])"),
            "tensor \"a\": shape is or holds a text");
  EXPECT_EQ(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0])"),
            "tensor \"a\" has 1 data_offsets instead of 2");
  EXPECT_EQ(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4,4])"),
            "tensor \"a\" has 3 data_offsets instead of 2");
}

TEST_F(Safetensors, RefusesRangesThatDoNotFit) {
  const auto entry = [&](const std::string& shape, const std::string& offsets) {
    return complaint(
        R"({"a":{"dtype":"F32","shape":[)" + shape + R"(],"data_offsets":[)" + offsets + "]}}",
        "12345678");
  };
  EXPECT_EQ(entry("2", "0,4"), "tensor \"a\" has 4 bytes, but its shape [2] and dtype F32 make 8");
  EXPECT_EQ(entry("2", "8,0"), "tensor \"a\" starts at byte 8 and ends before, at 0");
  EXPECT_EQ(entry("2", "4,12"),
            "tensor \"a\" ends at byte 12 of the data, but the file has only 8; it has been cut "
            "short");
  EXPECT_EQ(entry("1", "4,8"), "bytes 0 to 4 of the data belong to no tensor");
  EXPECT_EQ(entry("1", "0,4"), "the last 4 bytes belong to no tensor");
  // 2^32 · 2^32 · 4 bytes are 0 modulo 2^64.
  EXPECT_EQ(entry("4294967296, 4294967296", "0,0"),
            "tensor \"a\" of shape [4294967296, 4294967296] is larger than any memory");
  EXPECT_EQ(entry("0, 4294967296, 4294967296", "0,0"),
            "tensor \"a\" of shape [0, 4294967296, 4294967296] is larger than any memory");
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) {
    ones += ",1";
  }
  EXPECT_EQ(entry(ones, "0,4"), "tensor \"a\" has more than 64 dimensions");
}

TEST_F(Safetensors, RefusesOverlapsAndNamesThatOccurTwice) {
  const std::string one = R"({"dtype":"U8","shape":[3],"data_offsets":[0,3]})";
  const std::string two = R"({"dtype":"U8","shape":[2],"data_offsets":[2,4]})";
  EXPECT_EQ(complaint("{\"a\":" + one + ",\"b\":" + two + "}", "1234"),
            "tensors \"a\" and \"b\" overlap");
  EXPECT_EQ(complaint("{\"a\":" + one + ",\"a\":" + one + "}", "123"),
            "the name \"a\" occurs twice in the header");
  EXPECT_EQ(complaint(R"({"__metadata__":{},"__metadata__":{}})", ""),
            "the name \"__metadata__\" occurs twice in the header");
}

TEST_F(Safetensors, RefusesBooleansThatAreNone) {
  EXPECT_EQ(complaint(R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", "\x01\x02"),
            "tensor \"a\" is BOOL but holds bytes other than 0 and 1");
}

TEST_F(Safetensors, ErrorTextsHoldNoControlCharactersAndStayShort) {
  EXPECT_EQ(complaint(R"({"\u001b[31m":0})", ""),
            "tensor \"\\u001b[31m\" is a number, not an object");
  EXPECT_LT(complaint("{\"" + std::string(100'000, 'n') + "\":0}", "").size(), 300u);
}

TEST_F(Safetensors, MissingFileIsAnInputError) {
  EXPECT_EQ(error_of([&] { read_safetensors(file_); }),
            "input: cannot read " + file_.string() + ": No such file or directory");
}

}  // namespace
}  // namespace bissl::host::test
