// The calls import, export and features.

#include "import_fixture.h"

#include "support/paths.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace bissl::host::test {
namespace {

TEST_F(ImportTest, TheNoteSaysHowToUseTheWeights) {
  export_to("w.pth");
  const auto note = nlohmann::json::parse(read_file(path("w.pth.json")));
  EXPECT_EQ(note["names"], "torchvision");
  EXPECT_EQ(note["backbone"]["use"], "resnet18");
  EXPECT_EQ(note["backbone"]["values"]["width"], 2);
  EXPECT_EQ(note["head"], true);
  EXPECT_GE(note["classes"].size(), 2U);
  EXPECT_EQ(note["input"]["size"], 8);
  EXPECT_EQ(note["input"]["mean"], nlohmann::json({0.4}));
  EXPECT_EQ(note["input"]["std"], nlohmann::json({0.3}));
  EXPECT_EQ(note["tensors"]["fc.bias"], nlohmann::json({note["classes"].size()}));
  // timm calls a ResNet's tensors as torchvision does.
  ASSERT_EQ(run_bissl({"export", (out_ / "training/finetune").string(), "--to", path("t.pth"),
                       "--names", "timm"})
                .code,
            0);
  EXPECT_EQ(nlohmann::json::parse(read_file(path("t.pth.json")))["names"], "timm");
}

TEST_F(ImportTest, ExportOverwritesNothingAndNamesWhatThereIs) {
  export_to("w.pth");
  const std::string stage = (out_ / "training/finetune").string();
  const auto refusal = [&](const std::vector<std::string>& arguments) {
    const Outcome outcome = run_bissl(arguments);
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  EXPECT_NE(refusal({"export", stage, "--to", path("w.pth")}).find("--force"), std::string::npos);
  EXPECT_EQ(run_bissl({"export", stage, "--to", path("w.pth"), "--force", "--no-head"}).code, 0);
  EXPECT_NE(refusal({"export", stage, "--to", path("w.onnx")}).find(".safetensors, .pth or .pt"),
            std::string::npos);
  EXPECT_NE(refusal({"export", (out_ / "training").string(), "--to", path("x.pth")})
                .find("training/finetune"),
            std::string::npos);
  EXPECT_NE(refusal({"export", stage, "--to", path("x.pth"), "--network", "1"}).find("--network 1"),
            std::string::npos);
}

TEST_F(ImportTest, TheCallAddsAStageOnce) {
  export_to("w.pth");
  write_file(imported_, "name = \"importing\"\n" + std::string(data_and_model) + R"(
[stage.neighbours]
kind    = "knn"
from    = "scratch"
bank    = "labelled"
data    = "test"
augment = { use = "evaluation", size = 8 }
)");
  const std::string before = read_file(imported_);
  const std::vector<std::string> arguments = {"import", path("w.pth"), "--into",
                                              imported_.string()};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), arguments.begin(), arguments.end());
    return run_bissl(more);
  };
  const Outcome dry = with({"--dry-run"});
  EXPECT_EQ(dry.code, 0) << dry.err;
  EXPECT_NE(dry.out.find("[stage.start]\nkind = \"import\"\nfile = \"w.pth\"\nsource = "
                         "\"torchvision\"\nchannels = 3\nsize = 8\n"),
            std::string::npos)
      << dry.out;
  EXPECT_NE(dry.out.find("matched"), std::string::npos);
  EXPECT_EQ(read_file(imported_), before);

  const Outcome json = with({"--json", "--dry-run"});
  const auto told = nlohmann::json::parse(json.out);
  EXPECT_EQ(told["ok"], true);
  EXPECT_EQ(told["coverage"]["left_out"], nlohmann::json({"fc.weight", "fc.bias"}));
  EXPECT_EQ(told["written"], nullptr);

  const Outcome added = with({});
  EXPECT_EQ(added.code, 0) << added.err;
  const std::string after = read_file(imported_);
  EXPECT_EQ(after.substr(0, before.size()), before);
  EXPECT_EQ(call("check", imported_).code, 0);

  const Outcome again = with({});
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("has a stage \"start\" already"), std::string::npos) << again.err;
  EXPECT_EQ(read_file(imported_), after);
  EXPECT_EQ(with({"--stage", "other"}).code, 0);

  // A link stays one, and the stage is right whichever name the file is called by.
  const fs::path real = path("real.toml");
  const fs::path link = folder_.path() / "links" / "p.toml";
  write_file(real, before);
  fs::permissions(real, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_directory(link.parent_path());
  fs::create_symlink("../real.toml", link);
  const Outcome linked = run_bissl({"import", path("w.pth"), "--into", link.string()});
  EXPECT_EQ(linked.code, 0) << linked.err;
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_NE(read_file(real).find("file = \"" + fs::canonical(path("w.pth")).string() + "\""),
            std::string::npos)
      << read_file(real);
  EXPECT_EQ(fs::status(real).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(ImportTest, TheCallLeavesAFileAloneThatTakesNoFurtherTable) {
  export_to("w.pth");
  const std::string text =
      "name = \"importing\"\nstage = { neighbours = { kind = \"knn\", from = \"scratch\", bank = "
      "\"labelled\", data = \"test\", augment = { use = \"evaluation\", size = 8 } } }\n" +
      std::string(data_and_model);
  write_file(imported_, text);
  const Outcome outcome = run_bissl({"import", path("w.pth"), "--into", imported_.string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("would be no TOML with the stage at its end"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(read_file(imported_), text);
}

TEST_F(ImportTest, TheCallNamesABackboneThatFits) {
  export_to("w.pth");
  std::string text = "name = \"importing\"\n" + std::string(data_and_model) + R"(
[stage.neighbours]
kind    = "knn"
from    = "scratch"
bank    = "labelled"
data    = "test"
augment = { use = "evaluation", size = 8 }
)";
  text.replace(text.find("resnet18"), 8, "resnet34");
  write_file(imported_, text);
  const Outcome outcome = run_bissl({"import", path("w.pth"), "--into", imported_.string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("All of it fits with use = \"resnet18\", stem = \"small\", width = 2"),
            std::string::npos)
      << outcome.err;
  EXPECT_EQ(read_file(imported_), text);
}

TEST_F(ImportTest, FeaturesAreWrittenForTensorboardsProjector) {
  export_to("w.pth");
  const Outcome outcome =
      call("features", trained_, {"--stage", "finetune", "--data", "test", "--to", path("f.tsv")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::istringstream lines(read_file(path("f.tsv")));
  int rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    EXPECT_EQ(std::count(line.begin(), line.end(), '\t'), 15) << line;
  }
  EXPECT_EQ(rows, 32);
  const std::string metadata = read_file(path("f.metadata.tsv"));
  EXPECT_TRUE(metadata.starts_with("sample\tname\ttarget\n0\t")) << metadata;
  EXPECT_EQ(std::count(metadata.begin(), metadata.end(), '\n'), 33);
  EXPECT_EQ(read_file(path("projector_config.pbtxt")),
            "embeddings {\n  tensor_name: \"f\"\n  tensor_path: \"f.tsv\"\n  metadata_path: "
            "\"f.metadata.tsv\"\n  sprite {\n    image_path: \"f.sprite.png\"\n    "
            "single_image_dim: 64\n    single_image_dim: 64\n  }\n}\n");
  if (std::system("command -v protoc >/dev/null") == 0) {
    const std::string protoc =
        "protoc -I'" + std::string(source_folder) + "/tests/reference' tensorboard.proto --";
    const std::string command = protoc + "encode=ProjectorConfig <'" +
                                path("projector_config.pbtxt") + "' | " + protoc +
                                "decode=ProjectorConfig >'" + path("decoded.txt") + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
    const std::string decoded = read_file(path("decoded.txt"));
    EXPECT_NE(decoded.find("tensor_path: \"f.tsv\""), std::string::npos) << decoded;
    EXPECT_NE(decoded.find("image_path: \"f.sprite.png\""), std::string::npos) << decoded;
  }
  // 6 × 6 thumbnails: the width is in bytes 16 to 19 of a PNG file.
  EXPECT_EQ(read_file(path("f.sprite.png")).substr(16, 4), std::string("\0\0\x01\x80", 4));
}

TEST_F(ImportTest, FeaturesAreWrittenInThreeFormats) {
  export_to("w.pth");
  const auto features = [&](const std::string& to, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"--stage", "finetune", "--data",
                                          "test",    "--to",     path(to)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return call("features", trained_, arguments);
  };
  ASSERT_EQ(features("f.csv", {"--outputs"}).code, 0);
  std::istringstream lines(read_file(path("f.csv")));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line.substr(0, 45),
            std::string("sample,name,target,target_name,output0,output1").substr(0, 45));
  int rows = 0;
  while (std::getline(lines, line)) {
    EXPECT_EQ(line.substr(0, line.find(',')), std::to_string(rows));
    ++rows;
  }
  EXPECT_EQ(rows, 32);
  const Outcome json = features("f.safetensors", {"--json"});
  ASSERT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(nlohmann::json::parse(json.out)["features"], 16);
  const std::string bytes = read_file(path("f.safetensors"));
  EXPECT_NE(bytes.find("target_names"), std::string::npos);
  EXPECT_NE(bytes.find("\"sample_names\""), std::string::npos);

  EXPECT_NE(features("f.csv").err.find("--force"), std::string::npos);
  EXPECT_EQ(features("f.csv", {"--force"}).code, 0);
  ASSERT_EQ(features("f.npy").code, 0);
  // A data set without names calls its samples by their numbers: texts of two characters here.
  const std::string names = read_file(path("f.names.npy"));
  EXPECT_NE(names.find("{'descr': '<U2', 'fortran_order': False, 'shape': (32,), }"),
            std::string::npos)
      << names;
  EXPECT_EQ(names.substr(names.size() - 8), std::string("3\0\0\0001\0\0\0", 8));

  EXPECT_NE(features("f.txt").err.find(".safetensors, .npy, .csv or .tsv"), std::string::npos);
  EXPECT_NE(features("g.csv", {"--network", "1"}).err.find("no network 1"), std::string::npos);
  EXPECT_NE(features("g.csv", {"--views", "nothing"}).err.find("no such stage"), std::string::npos);
  EXPECT_NE(
      call("features", trained_, {"--stage", "finetune", "--data", "tset", "--to", path("g.csv")})
          .err.find("Did you mean test?"),
      std::string::npos);
  fs::remove_all(out_);
  EXPECT_NE(features("g.csv").err.find("is not finished in the store"), std::string::npos);
  EXPECT_FALSE(fs::exists(path("g.csv")));
}

/// The numbers of a .npy file of 32 samples with 16 features each, which are its last bytes.
std::vector<float> numbers_of(const std::string& file) {
  const std::string bytes = read_file(file);
  std::vector<float> numbers(size_t{32} * 16);
  const size_t size = numbers.size() * sizeof(float);
  if (bytes.size() > size) {
    std::memcpy(numbers.data(), bytes.data() + bytes.size() - size, size);
  }
  return numbers;
}

TEST_F(ImportTest, FeaturesAreComputedInTheChosenPrecision) {
  export_to("w.pth");
  const auto features = [&](const std::string& to, const std::string& precision) {
    return call(
        "features", trained_,
        {"--stage", "finetune", "--data", "test", "--to", path(to), "--precision", precision});
  };
  ASSERT_EQ(features("single.npy", "fp32").code, 0);
  ASSERT_EQ(features("rough.npy", "bf16").code, 0);
  const std::vector<float> single = numbers_of(path("single.npy"));
  const std::vector<float> rough = numbers_of(path("rough.npy"));
  double error = 0;
  double length = 0;
  for (size_t i = 0; i < single.size(); ++i) {
    error += std::pow(static_cast<double>(rough[i]) - static_cast<double>(single[i]), 2);
    length += std::pow(static_cast<double>(single[i]), 2);
  }
  EXPECT_GT(error, 0) << "nothing was computed in bfloat16";
  EXPECT_LT(error, 0.01 * length);
  ASSERT_EQ(features("rough.safetensors", "bf16").code, 0);
  EXPECT_NE(read_file(path("rough.safetensors")).find("\"precision\":\"bf16\""), std::string::npos);
  const Outcome half = features("half.npy", "fp16");
  EXPECT_EQ(half.code, 2);
  EXPECT_NE(half.err.find("precision = \"fp16\": this run computes on the CPU"), std::string::npos)
      << half.err;
}

}  // namespace
}  // namespace bissl::host::test
