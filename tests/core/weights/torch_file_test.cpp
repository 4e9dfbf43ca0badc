#include "weights/torch_file.h"

#include "bissl/error.h"
#include "core/weights/hand_made.h"
#include "reference/golden.h"
#include "weights/weights_file.h"

#include <ATen/ops/ones.h>

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

const std::string files_folder = std::string(source_folder) + "/tests/reference/golden/weights/";

class TorchFiles : public testing::Test {
 protected:
  /// What opening a file with this content, and reading the tensor "w" of it, throws.
  std::string complaint(const std::string& content) {
    write_file(file_, content);
    try {
      const WeightsFile weights(file_);
      weights.read(*weights.dicts().front().find("w"));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_EQ(std::string(error.what()).find(file_.string()), 0U) << error.what();
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "w.pth";
};

std::string with_tensor(const std::string& tensor) {
  return pickle_of(pickled_dict({{"w", tensor}}));
}
const std::string four_bytes("\0\0\x80\x3f", 4);  // 1 in single precision

TEST_F(TorchFiles, ReadsWhatPythonWrote) {
  const nlohmann::json types = golden("weights/expected.json").at("types");
  for (const char* name : {"types.pth", "types_legacy.pth", "types_protocol4.pth"}) {
    SCOPED_TRACE(name);
    const WeightsFile file(files_folder + name);
    ASSERT_EQ(file.dicts().size(), 1U);
    const StateDict& dict = file.dicts().front();
    EXPECT_EQ(dict.path, "");
    EXPECT_EQ(dict.tensors.size(), types.size());
    for (const auto& [key, wanted] : types.items()) {
      SCOPED_TRACE(key);
      const StoredTensor* stored = dict.find(key);
      ASSERT_NE(stored, nullptr);
      const at::Tensor tensor = file.read(*stored);
      EXPECT_EQ(tensor.sizes().vec(), wanted.at("shape").get<std::vector<int64_t>>());
      EXPECT_EQ(stored->shape, tensor.sizes().vec());
      EXPECT_EQ(types_text({*stored}), "1 " + wanted.at("type").get<std::string>());
      EXPECT_TRUE(tensor.is_contiguous());
      EXPECT_TRUE(close(tensor, wanted.at("values"), 0));
    }
  }
}

TEST_F(TorchFiles, TellsTheFormats) {
  EXPECT_STREQ(WeightsFile(files_folder + "types.pth").format(), "PyTorch");
  EXPECT_STREQ(WeightsFile(files_folder + "types_legacy.pth").format(), "PyTorch before 1.6");
}

TEST_F(TorchFiles, RefusesWhatNeedsAProgram) {
  const auto refusal = [](const char* name) {
    try {
      const WeightsFile file(files_folder + name);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string module = refusal("whole_module.pth");
  EXPECT_NE(module.find("torch.nn.modules.linear.Linear"), std::string::npos) << module;
  EXPECT_NE(module.find("model.state_dict()"), std::string::npos) << module;
  EXPECT_NE(refusal("script.pt").find("TorchScript"), std::string::npos);
}

TEST_F(TorchFiles, NamesWhatItDoesNotLookInto) {
  const WeightsFile file(files_folder + "dino.pth");
  EXPECT_EQ(file.opaque(), (std::set<std::string>{"argparse.Namespace"}));
  EXPECT_EQ(file.keys().count("teacher"), 1U);
  EXPECT_NE(file.dict("teacher"), nullptr);
  EXPECT_EQ(file.dict("args"), nullptr);
}

TEST_F(TorchFiles, AViewMustLieWithinItsStorage) {
  const auto refused = [&](int32_t offset, const std::vector<int32_t>& shape,
                           const std::vector<int32_t>& strides) {
    return complaint(hand_made_pth(
        with_tensor(pickled_tensor("FloatStorage", "0", 1, offset, shape, strides)), four_bytes));
  };
  EXPECT_EQ(refused(0, {1}, {1}), "");
  EXPECT_EQ(refused(0, {}, {}), "");
  EXPECT_EQ(refused(1, {0}, {1}), "");
  EXPECT_NE(refused(0, {2}, {1}).find("larger than its storage of 1 elements"), std::string::npos);
  EXPECT_NE(refused(1, {1}, {1}).find("larger than its storage"), std::string::npos);
  EXPECT_NE(refused(-1, {1}, {1}).find("no tensor has"), std::string::npos);
  EXPECT_NE(refused(0, {1}, {-1}).find("no tensor has"), std::string::npos);
  EXPECT_NE(refused(0, {-1}, {1}).find("no tensor has"), std::string::npos);
  EXPECT_NE(refused(0, {1, 1}, {1}).find("no tensor has"), std::string::npos);
  EXPECT_NE(refused(0, {1 << 30, 1 << 30, 1 << 30}, {1 << 30, 1 << 30, 1 << 30})
                .find("larger than its storage"),
            std::string::npos);
}

TEST_F(TorchFiles, AStorageMustHaveItsLength) {
  const auto with_elements = [&](int32_t elements, const std::string& bytes) {
    return complaint(hand_made_pth(
        with_tensor(pickled_tensor("FloatStorage", "0", elements, 0, {1}, {1})), bytes));
  };
  EXPECT_NE(with_elements(2, four_bytes).find("its record has 4 bytes"), std::string::npos);
  EXPECT_NE(with_elements(1, four_bytes + four_bytes).find("its record has 8 bytes"),
            std::string::npos);
  EXPECT_NE(with_elements(1 << 30, four_bytes).find("its record has 4 bytes"), std::string::npos);
  const std::string missing = complaint(
      hand_made_pth(with_tensor(pickled_tensor("FloatStorage", "9", 1, 0, {1}, {1})), four_bytes));
  EXPECT_NE(missing.find("\"data/9\" that is missing"), std::string::npos) << missing;
  const std::string boolean = complaint(
      hand_made_pth(with_tensor(pickled_tensor("BoolStorage", "0", 1, 0, {1}, {1})), "\x07"));
  EXPECT_NE(boolean.find("other than 0 and 1"), std::string::npos) << boolean;
}

TEST_F(TorchFiles, ADamagedRecordIsFound) {
  std::string bytes =
      hand_made_pth(with_tensor(pickled_tensor("FloatStorage", "0", 1, 0, {1}, {1})), four_bytes);
  ASSERT_EQ(complaint(bytes), "");
  const size_t place = bytes.find("archive/data/0") + 14;
  bytes[place] = '\x01';
  EXPECT_NE(complaint(bytes).find("checksum"), std::string::npos);
}

TEST_F(TorchFiles, RefusesArchivesThatNoWriterMakes) {
  const std::string pickle = with_tensor(pickled_tensor("FloatStorage", "0", 1, 0, {1}, {1}));
  const HandRecord head{.name = "a/data.pkl", .data = pickle};
  const HandRecord data{.name = "a/data/0", .data = four_bytes};
  const auto changed = [&](auto change) {
    HandRecord record = data;
    change(record);
    return complaint(hand_made_zip({head, record}));
  };
  EXPECT_EQ(complaint(hand_made_zip({head, data})), "");
  EXPECT_EQ(complaint(hand_made_zip({head, data}, false, "a comment")), "");
  EXPECT_NE(changed([](HandRecord& r) { r.method = 8; }).find("compressed"), std::string::npos);
  EXPECT_NE(changed([](HandRecord& r) { r.flags = 1; }).find("encrypted"), std::string::npos);
  EXPECT_NE(changed([](HandRecord& r) { r.wrong_size = 1 << 20; }).find("longer than"),
            std::string::npos);
  EXPECT_NE(changed([](HandRecord& r) { r.wrong_header = 1 << 20; }).find("outside of"),
            std::string::npos);
  EXPECT_NE(changed([](HandRecord& r) { r.wrong_header = 1; }).find("no record at 1"),
            std::string::npos);
  EXPECT_NE(changed([](HandRecord& r) { r.local_name = "a/data/1"; }).find("is not called"),
            std::string::npos);
  EXPECT_NE(changed([](HandRecord& r) { r.name = "a/data.pkl"; }).find("twice"), std::string::npos);
  HandRecord inside = data;
  inside.wrong_header = 0;
  inside.local_name = "";
  inside.name = "a/data.pk2";
  HandRecord first = head;
  first.local_name = "a/data.pk2";
  EXPECT_NE(complaint(hand_made_zip({first, inside})), "");
  EXPECT_NE(complaint(hand_made_zip({data})).find("data.pkl"), std::string::npos);
  // Another reader might take the other one.
  const std::string two =
      complaint(hand_made_zip({head, data, {.name = "b/data.pkl", .data = pickle}}));
  EXPECT_NE(two.find("the records \"a/data.pkl\" and \"b/data.pkl\"; expected one"),
            std::string::npos)
      << two;
}

TEST_F(TorchFiles, RefusesRecordsThatOverlap) {
  // The second record lies within the bytes of the first, header and all.
  const std::string inner = hand_made_zip({{.name = "a/data/0", .data = four_bytes}});
  const std::string local = inner.substr(0, 30 + 8 + 4);
  const uint64_t place = 30 + 10;  // behind the header of "a/data.pkl"
  std::string bytes = hand_made_zip(
      {{.name = "a/data.pkl", .data = local},
       {.name = "a/data/0", .data = four_bytes, .wrong_header = static_cast<int64_t>(place)}});
  EXPECT_NE(complaint(bytes).find("overlap"), std::string::npos) << complaint(bytes);
}

TEST_F(TorchFiles, ReadsZip64) {
  const std::string pickle = with_tensor(pickled_tensor("FloatStorage", "0", 1, 0, {1}, {1}));
  const std::vector<HandRecord> records = {{.name = "a/data.pkl", .data = pickle, .zip64 = true},
                                           {.name = "a/data/0", .data = four_bytes, .zip64 = true}};
  write_file(file_, hand_made_zip(records, /*zip64_end=*/true));
  const WeightsFile weights(file_);
  EXPECT_EQ(weights.read(*weights.dicts().front().find("w")).item<float>(), 1.0F);
  std::string wrong = hand_made_zip(records, true);
  wrong.replace(wrong.rfind("PK\x06\x06") + 32, 8, std::string(8, '\x7f'));
  EXPECT_NE(complaint(wrong).find("directory"), std::string::npos);
  wrong = hand_made_zip(records, true);
  wrong.replace(wrong.rfind("PK\x06\x07") + 8, 8, raw<uint64_t>(5));
  EXPECT_NE(complaint(wrong).find("ZIP64"), std::string::npos);
}

TEST_F(TorchFiles, EveryCutOfAFileIsRefused) {
  for (const char* name : {"types.pth", "types_legacy.pth"}) {
    const std::string whole = read_file(files_folder + name);
    for (size_t size = 0; size < whole.size(); size += 7) {
      write_file(file_, whole.substr(0, size));
      EXPECT_THROW(WeightsFile{file_}, Error) << name << " cut at " << size;
    }
  }
}

TEST_F(TorchFiles, RefusesOtherFiles) {
  EXPECT_NE(complaint("").find("none of the files that are read"), std::string::npos);
  EXPECT_NE(complaint("hello, world").find("none of the files that are read"), std::string::npos);
  EXPECT_NE(complaint(pickle_of("K\x01")).find("none of the files that are read"),
            std::string::npos);
  EXPECT_NE(complaint(hand_made_pth(pickle_of("K\x01"), four_bytes)).find("no tensors under names"),
            std::string::npos);
  EXPECT_NE(complaint(hand_made_pth(pickle_of(pickled_tensor("FloatStorage", "0", 1, 0, {1}, {1})),
                                    four_bytes))
                .find("one tensor without a name"),
            std::string::npos);
}

TEST_F(TorchFiles, ADictionaryThatHoldsItselfIsReadOnce) {
  const std::string tensor = pickled_tensor("FloatStorage", "0", 1, 0, {1}, {1});
  const std::string bytes =
      "\x80\x02}q\x01(" + pickled_text("self") + "h\x01" + pickled_text("w") + tensor + "u.";
  EXPECT_EQ(complaint(hand_made_pth(bytes, four_bytes)), "");
  EXPECT_EQ(WeightsFile(file_).dicts().size(), 1U);
}

/// A hundred long names, each of them that of a tensor in many dictionaries: each dictionary would
/// copy all of them.
TEST_F(TorchFiles, NamesOfManyTensorsAreCounted) {
  constexpr int names = 100;
  const auto number = [](int value) { return raw(static_cast<uint8_t>(value)); };
  const auto with_dicts = [&](int dicts) {
    std::string bytes =
        "\x80\x02" + pickled_tensor("FloatStorage", "0", 1, 0, {1}, {1}) + "q" + number(names);
    for (int i = 0; i < names; ++i) {
      bytes += pickled_text(std::string(900, 'k') + std::to_string(i)) + "q" + number(i);
    }
    bytes += "}(" + pickled_text("w") + "h" + number(names);
    for (int dict = 0; dict < dicts; ++dict) {
      bytes += pickled_text(std::to_string(dict)) + "}(";
      for (int i = 0; i < names; ++i) {
        bytes += "h" + number(i) + "h" + number(names);
      }
      bytes += "u";
    }
    return complaint(hand_made_pth(bytes + "u.", four_bytes));
  };
  EXPECT_EQ(with_dicts(20), "");
  EXPECT_NE(with_dicts(900).find("bytes of names"), std::string::npos);
}

TEST_F(TorchFiles, LongTextsAreNoNames) {
  const std::string tensor = pickled_tensor("FloatStorage", "0", 1, 0, {1}, {1});
  const std::string text(5000, 't');
  EXPECT_EQ(complaint(hand_made_pth(pickle_of(pickled_dict({{text, "K\x01"}, {"w", tensor}})),
                                    four_bytes)),
            "");
  const std::string refused = complaint(
      hand_made_pth(pickle_of(pickled_dict({{"w", tensor}, {text, tensor}})), four_bytes));
  EXPECT_NE(refused.find("under a name of 5000 bytes"), std::string::npos) << refused;
}

TEST_F(TorchFiles, OfEqualNamesTheLaterTensorIsRead) {
  const auto tensor = [](int32_t place) {
    return pickled_tensor("ByteStorage", "0", 2, place, {1}, {1});
  };
  write_file(file_, hand_made_pth(pickle_of(pickled_dict({{"w", tensor(0)}, {"w", tensor(1)}})),
                                  "\x05\x07"));
  const WeightsFile weights(file_);
  ASSERT_EQ(weights.dicts().front().tensors.size(), 1U);
  EXPECT_EQ(weights.read(*weights.dicts().front().find("w")).item<uint8_t>(), 7);
}

}  // namespace
}  // namespace bissl::host::test
