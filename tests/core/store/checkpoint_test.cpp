#include "store/checkpoint.h"

#include "core/store/failing_disk.h"
#include "store/safetensors.h"
#include "support/temporary_folder.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <limits>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

Checkpoint example() {
  return {{{"step", at::arange(1).to(at::kLong)}, {"weight", at::arange(6).to(at::kFloat)}},
          {{"epoch", 3}, {"best", 0.1}, {"seed", 18446744073709551615u}, {"names", {"a", "ä"}}}};
}

class CheckpointFile : public testing::Test {
 protected:
  void damage(const std::string& text, const std::string& replacement) {
    std::string bytes = read_file(file_);
    const size_t place = bytes.find(text);
    ASSERT_NE(place, std::string::npos);
    ASSERT_EQ(text.size(), replacement.size());
    write_file(file_, bytes.replace(place, text.size(), replacement));
  }
  std::string load_error() {
    return error_of([&] { load_checkpoint(folder_.path()); });
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "checkpoint.safetensors";
};

TEST_F(CheckpointFile, ComesBackAsItWas) {
  save_checkpoint(folder_.path(), example());
  const std::optional<Checkpoint> loaded = load_checkpoint(folder_.path());
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->state, example().state);
  EXPECT_EQ(loaded->state["seed"].get<uint64_t>(), 18446744073709551615u);
  EXPECT_EQ(loaded->state["best"].get<double>(), 0.1);
  ASSERT_EQ(loaded->tensors.size(), 2u);
  EXPECT_EQ(loaded->tensors[0].name, "step");
  EXPECT_EQ(loaded->tensors[0].tensor.scalar_type(), at::kLong);
  EXPECT_EQ(loaded->tensors[1].name, "weight");
  EXPECT_TRUE(at::equal(loaded->tensors[1].tensor, example().tensors[1].tensor));
  EXPECT_EQ(listing(folder_.path()), "checkpoint.safetensors");
}

TEST_F(CheckpointFile, WithoutTensorsToo) {
  save_checkpoint(folder_.path(), {{}, nullptr});
  const std::optional<Checkpoint> loaded = load_checkpoint(folder_.path());
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(loaded->tensors.empty());
  EXPECT_TRUE(loaded->state.is_null());
}

TEST_F(CheckpointFile, NoneIsNoError) {
  EXPECT_FALSE(load_checkpoint(folder_.path()));
  EXPECT_FALSE(load_checkpoint(folder_.path() / "no" / "folder"));
  remove_checkpoint(folder_.path());
  remove_checkpoint(folder_.path() / "no" / "folder");
}

TEST_F(CheckpointFile, IsReplacedAndRemoved) {
  save_checkpoint(folder_.path(), example());
  save_checkpoint(folder_.path(), {{}, {{"epoch", 4}}});
  EXPECT_EQ(load_checkpoint(folder_.path())->state["epoch"], 4);
  remove_checkpoint(folder_.path());
  EXPECT_FALSE(load_checkpoint(folder_.path()));
  EXPECT_EQ(listing(folder_.path()), "");
}

TEST_F(CheckpointFile, CutShortIsAnErrorWithAdvice) {
  save_checkpoint(folder_.path(), example());
  fs::resize_file(file_, fs::file_size(file_) - 1);
  EXPECT_EQ(load_error(), "input: damaged checkpoint " + file_.string() +
                              ": tensor \"weight\" ends at byte 32 of the data, but the file has "
                              "only 31; it has been cut short. Delete it to start the stage again");
  fs::resize_file(file_, 0);
  EXPECT_EQ(load_error(),
            "input: damaged checkpoint " + file_.string() +
                ": it has 0 bytes, too few for a safetensors file; it has been cut short. Delete "
                "it to start the stage again");
}

TEST_F(CheckpointFile, EveryChangedByteOfTheDataIsFound) {
  save_checkpoint(folder_.path(), example());
  const std::string whole = read_file(file_);
  for (size_t place = whole.size() - 32; place < whole.size(); ++place) {
    std::string changed = whole;
    changed[place] = static_cast<char>(changed[place] ^ 1);
    write_file(file_, changed);
    EXPECT_NE(load_error().find(": its content has the checksum "), std::string::npos) << place;
  }
}

TEST_F(CheckpointFile, ChangedStateNamesAndShapesAreFound) {
  for (const auto& [text, replacement] :
       {std::pair("\\\"epoch\\\":3", "\\\"epoch\\\":4"), std::pair("\"weight\"", "\"height\""),
        std::pair("\"F32\",\"shape\":[6]", "\"I32\",\"shape\":[6]"),
        std::pair("\"shape\":[6]", "\"shape\":[6]")}) {
    save_checkpoint(folder_.path(), example());
    damage(text, replacement);
    if (std::string(text) == replacement) {
      EXPECT_EQ(load_error(), "no error");
    } else {
      EXPECT_NE(load_error().find(": its content has the checksum "), std::string::npos) << text;
    }
  }
}

TEST_F(CheckpointFile, OtherFilesAndVersionsAreRefused) {
  write_safetensors(file_, {});
  EXPECT_EQ(load_error(), "input: damaged checkpoint " + file_.string() +
                              ": it has no bissl_checkpoint; it is no checkpoint of bissl. Delete "
                              "it to start the stage again");
  save_checkpoint(folder_.path(), example());
  damage("\"bissl_checkpoint\":\"1\"", "\"bissl_checkpoint\":\"2\"");
  EXPECT_EQ(load_error(), "input: damaged checkpoint " + file_.string() +
                              ": it has the format version 2, and this program reads 1. Delete it "
                              "to start the stage again");
}

TEST_F(CheckpointFile, WhatCannotBeOpenedIsNotCalledDamaged) {
  fs::create_directory(file_);
  EXPECT_EQ(load_error(), "input: cannot read " + file_.string() + ": it is a folder, not a file");
}

TEST_F(CheckpointFile, StateMayHoldInfinityButNoBytes) {
  const double infinity = std::numeric_limits<double>::infinity();
  const nlohmann::json state = {{"a", {{"b", {1.0, infinity}}}}};
  EXPECT_EQ(error_of([&] {
              save_checkpoint(folder_.path(), {{}, {{"a", "\xFF"}}});
            }),
            "run: the checkpoint's state holds a text that is not valid UTF-8");
  EXPECT_EQ(listing(folder_.path()), "");
  save_checkpoint(folder_.path(), {{}, state});
  EXPECT_EQ(load_checkpoint(folder_.path())->state, state);
}

TEST_F(CheckpointFile, FullDiskKeepsTheFormerOne) {
  save_checkpoint(folder_.path(), example());
  std::string error;
  {
    const FileSizeLimit limit(2048);
    error = error_of([&] { save_checkpoint(folder_.path(), {{{"big", at::arange(10'000)}}, {}}); });
  }
  EXPECT_EQ(error, "run: cannot write " + file_.string() +
                       ": File too large. The file system or a limit (ulimit -f) allows no file "
                       "of this size");
  EXPECT_EQ(load_checkpoint(folder_.path())->state["epoch"], 3);
  EXPECT_EQ(listing(folder_.path()), "checkpoint.safetensors");
}

}  // namespace
}  // namespace bissl::host::test
