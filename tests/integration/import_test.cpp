// Weights from other programs and for them: the stage kind `import`, and the calls import, export
// and features.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* data_and_model = R"(
[data.labelled]
use     = "synthetic"
samples = 48
size    = 8
channels = 3

[data.test]
use     = "synthetic"
samples = 32
size    = 8
channels = 3
split   = "test"

[model.backbone]
use   = "resnet18"
stem  = "small"
width = 2
)";

constexpr const char* training = R"(name = "training"
[stage.finetune]
kind       = "finetune"
from       = "scratch"
data       = "labelled"
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05 }
batch      = 8
steps      = 3
evaluate   = { data = "test", augment = { use = "evaluation", size = 8, mean = [0.4], std = [0.3] } }
)";

constexpr const char* scoring = R"(
[stage.score]
kind    = "evaluate"
from    = "start"
data    = "test"
augment = { use = "evaluation", size = 8, mean = [0.4], std = [0.3] }
)";

/// A pipeline that trains, and one that imports what was exported of it.
class ImportTest : public testing::Test {
 protected:
  Outcome call(const std::string& name, const fs::path& file,
               const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {name,          file.string(), "--out",
                                          out_.string(), "--threads",   "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }

  /// Trains, and exports to `name`.
  void export_to(const std::string& name) {
    write_file(trained_, training + std::string(data_and_model));
    const Outcome trained = call("run", trained_);
    ASSERT_EQ(trained.code, 0) << trained.err;
    const Outcome exported =
        run_bissl({"export", (out_ / "training/finetune").string(), "--to", path(name)});
    ASSERT_EQ(exported.code, 0) << exported.err;
  }

  /// The second pipeline, with these keys of its import stage.
  fs::path importing(const std::string& keys, const std::string& more = "") {
    write_file(imported_, "name = \"importing\"\n" + std::string(data_and_model) +
                              "\n[stage.start]\nkind = \"import\"\nchannels = 3\n" + keys + "\n" +
                              more);
    return imported_;
  }

  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  nlohmann::json results(const std::string& run) const {
    return nlohmann::json::parse(read_file(out_ / run / "results.json"))["stages"];
  }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "runs";
  fs::path trained_ = folder_.path() / "training.toml";
  fs::path imported_ = folder_.path() / "importing.toml";
};

const std::string with_head =
    "head = { data = \"labelled\", downstream = { use = \"classification\" } }";

TEST_F(ImportTest, ARoundTripGivesTheSameFeaturesAndScores) {
  for (const char* name : {"w.pth", "w.safetensors"}) {
    SCOPED_TRACE(name);
    fs::remove_all(out_);
    export_to(name);
    importing("file = \"" + std::string(name) + "\"\n" + with_head, scoring);
    const Outcome run = call("run", imported_);
    ASSERT_EQ(run.code, 0) << run.err;
    const nlohmann::json stages = results("importing");
    EXPECT_EQ(stages["start"]["coverage"]["complete"], true);
    EXPECT_EQ(stages["start"]["coverage"]["rule"], "torchvision");
    EXPECT_EQ(stages["score"]["metrics"]["test"]["loss"],
              results("training")["finetune"]["metrics"]["test"]["loss"]);
    for (const auto& [file, stage, to] :
         {std::tuple(trained_, "finetune", "a.npy"), std::tuple(imported_, "start", "b.npy")}) {
      const Outcome features = call(
          "features", file, {"--stage", stage, "--data", "test", "--to", path(to), "--outputs"});
      ASSERT_EQ(features.code, 0) << features.err;
    }
    EXPECT_EQ(read_file(path("a.npy")), read_file(path("b.npy")));
    EXPECT_EQ(read_file(path("a.outputs.npy")), read_file(path("b.outputs.npy")));
    EXPECT_EQ(read_file(path("a.targets.npy")), read_file(path("b.targets.npy")));
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (entry.path().extension() == ".npy" ||
          entry.path().string().find("w.") != std::string::npos) {
        fs::remove(entry.path());
      }
    }
  }
}

TEST_F(ImportTest, TheNoteSaysHowToUseTheWeights) {
  export_to("w.pth");
  const auto note = nlohmann::json::parse(read_file(path("w.pth.json")));
  EXPECT_EQ(note["backbone"]["use"], "resnet18");
  EXPECT_EQ(note["backbone"]["values"]["width"], 2);
  EXPECT_EQ(note["head"], true);
  EXPECT_GE(note["classes"].size(), 2U);
  EXPECT_EQ(note["input"]["size"], 8);
  EXPECT_EQ(note["input"]["mean"], nlohmann::json({0.4}));
  EXPECT_EQ(note["input"]["std"], nlohmann::json({0.3}));
  EXPECT_EQ(note["tensors"]["fc.bias"], nlohmann::json({note["classes"].size()}));
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

TEST_F(ImportTest, EveryKindOfStageContinuesAnImport) {
  export_to("w.pth");
  importing("file = \"w.pth\"", R"(
[stage.pretrain]
kind      = "pretrain"
from      = "start"
data      = "labelled"
augment   = { use = "simclr", size = 8 }
pretext   = { use = "simclr", projector = [8, 8] }
optimizer = { use = "sgd", lr = 0.1 }
batch     = 16
steps     = 2

[stage.bissl]
kind   = "bissl"
from   = "start"
rounds = 2
lambda = 0.1
hypergradient = { use = "cg", iterations = 2 }
[stage.bissl.lower]
data      = "labelled"
steps     = 2
augment   = { use = "simclr", size = 8 }
pretext   = { use = "simclr", projector = [8, 8] }
optimizer = { use = "sgd", lr = 0.1 }
batch     = 16
[stage.bissl.upper]
data       = "labelled"
steps      = 1
batch      = 8
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.01 }

[stage.finetune]
kind       = "finetune"
from       = "start"
data       = "labelled"
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05 }
batch      = 8
steps      = 2

[stage.neighbours]
kind    = "knn"
from    = "start"
bank    = "labelled"
data    = "test"
k       = 3
augment = { use = "evaluation", size = 8 }
)");
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = call(name, imported_);
    EXPECT_EQ(outcome.code, 0) << name << "\n" << outcome.err;
  }
  EXPECT_TRUE(fs::exists(out_ / "importing/bissl/pretext.safetensors"));
  EXPECT_FALSE(fs::exists(out_ / "importing/start/pretext.safetensors"));
}

TEST_F(ImportTest, TheContentNotThePlaceIsInTheKey) {
  export_to("w.pth");
  ASSERT_EQ(call("run", importing("file = \"w.pth\"")).code, 0);
  const fs::path first = fs::canonical(out_ / "importing/start");
  fs::rename(path("w.pth"), path("moved.pth"));
  Outcome moved = call("run", importing("file = \"moved.pth\""));
  ASSERT_EQ(moved.code, 0) << moved.err;
  EXPECT_EQ(fs::canonical(out_ / "importing/start"), first);
  EXPECT_NE(moved.err.find("already in the store"), std::string::npos) << moved.err;
  // The same names with other numbers, and so another stage.
  const std::string stage = (out_ / "training/finetune").string();
  ASSERT_EQ(call("run", trained_, {"--set", "stage.finetune.steps=4"}).code, 0);
  ASSERT_EQ(run_bissl({"export", stage, "--to", path("moved.pth"), "--force"}).code, 0);
  ASSERT_EQ(call("run", imported_).code, 0);
  EXPECT_NE(fs::canonical(out_ / "importing/start"), first);
}

constexpr const char* transformer = R"(name = "transformer"
[data.images]
use      = "synthetic"
samples  = 16
size     = 16
channels = 3
[model.backbone]
use       = "vit-tiny"
patch     = 4
width     = 4
depth     = 2
heads     = 2
mlp_ratio = 2.0
registers = REGISTERS
[stage.start]
kind     = "import"
file     = "FILE"
channels = 3
size     = 16
allow    = [ALLOW]
[stage.finetune]
kind       = "finetune"
from       = "start"
data       = "images"
augment    = { use = "supervised", size = 16 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05 }
batch      = 8
steps      = 1
evaluate   = { data = "images", augment = { use = "evaluation", size = 16, mean = [0.4], std = [0.3] } }
)";

/// torchvision's, of images of 8 pixels, for images of 16; with registers, which torchvision has
/// not, the class token has no place of its own.
TEST_F(ImportTest, AVisionTransformerIsTakenAtAnotherImageSize) {
  const std::string weights =
      std::string(source_folder) + "/tests/reference/golden/weights/torchvision-vit.pth";
  struct Case {
    std::string registers;
    std::string allow;
    int64_t places;
    std::string remark;
  };
  for (const Case& variant :
       {Case{"0", "", 17, "2x2 places to 4x4"},
        Case{"2", "\"reg_token\"", 16, "the class token's own added to the token"}}) {
    SCOPED_TRACE(variant.registers);
    std::string text = transformer;
    for (const auto& [name, value] :
         {std::pair("REGISTERS", variant.registers), {"FILE", weights}, {"ALLOW", variant.allow}}) {
      text.replace(text.find(name), std::string(name).size(), value);
    }
    write_file(imported_, text);
    const Outcome run = call("run", imported_);
    ASSERT_EQ(run.code, 0) << run.err;
    const nlohmann::json coverage = results("transformer")["start"]["coverage"];
    EXPECT_EQ(coverage["rule"], "torchvision-vit");
    ASSERT_EQ(coverage["interpolated"].size(), 1U) << coverage;
    EXPECT_EQ(coverage["interpolated"][0]["found"], (std::vector<int64_t>{1, 5, 4}));
    EXPECT_EQ(coverage["interpolated"][0]["wanted"], (std::vector<int64_t>{1, variant.places, 4}));
    const Outcome checked = call("check", imported_);
    EXPECT_NE((checked.out + checked.err).find(variant.remark), std::string::npos)
        << checked.out << checked.err;
  }
}

/// Each fault is found by check and by run before anything is trained, with what to do.
TEST_F(ImportTest, WhatDoesNotFitIsRefusedWithWhatWould) {
  export_to("w.pth");
  write_file(path("no.pth"), "hello");
  const std::string file = "file = \"w.pth\"";
  struct Fault {
    std::string keys;
    std::vector<std::string> changes;
    std::vector<std::string> said;
  };
  const std::vector<Fault> faults = {
      {file,
       {"model.backbone.stem=imagenet"},
       {"\"conv1.weight\" is [2, 3, 3, 3] in the file, [2, 3, 7, 7] here",
        "fits with stem = \"small\""}},
      {file, {"model.backbone.width=4"}, {"fits with width = 2"}},
      {file, {"stage.start.channels=1"}, {"[2, 1, 3, 3] here", "channels = 3"}},
      {file,
       {"model.backbone.use=resnet34", "model.backbone.stem=small", "model.backbone.width=2"},
       {"are missing: \"layer1.2.", "tries the other backbones"}},
      {"file = \"none.pth\"", {}, {"none.pth"}},
      {"file = \"no.pth\"", {}, {"no.pth: it is none of the files that are read"}},
      {file + "\nsource = \"moco\"", {}, {"rule moco looks for the weights at \"state_dict\""}},
      {file + "\nsource = \"moco\"\nrule = { prefix = \"a.\" }", {}, {"exclude each other"}},
      {file + "\nrule = { prefix = \"a.\" }", {}, {"begin with \"a.\""}},
      {file + "\nrule = { rename = [\"a\"] }", {}, {"\"a\" is not of the form \"OLD=NEW\""}},
      {file + "\nrule = { }", {}, {"2 are not part of the backbone: \"fc.weight\", \"fc.bias\""}},
      {file + "\nallow = [\"layer9\"]", {}, {"allow: \"layer9\" fits nothing"}},
      {file + "\nfrom = \"other\"", {}, {"continues no other"}},
      {file + "\nsource = \"moko\"", {}, {"source"}},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.keys);
    importing(fault.keys);
    std::vector<std::string> sets;
    for (const std::string& change : fault.changes) {
      sets.insert(sets.end(), {"--set", change});
    }
    for (const char* name : {"check", "run"}) {
      const Outcome outcome = call(name, imported_, sets);
      EXPECT_EQ(outcome.code, 2) << name;
      for (const std::string& said : fault.said) {
        EXPECT_NE(outcome.err.find(said), std::string::npos) << said << "\n" << outcome.err;
      }
    }
  }
}

TEST_F(ImportTest, AHeadMustFit) {
  export_to("w.pth");
  ASSERT_EQ(run_bissl({"export", (out_ / "training/finetune").string(), "--to", path("bare.pth"),
                       "--no-head"})
                .code,
            0);
  const auto refusal = [&](const std::string& keys, const std::string& more = "",
                           const std::vector<std::string>& changes = {}) {
    const Outcome outcome = call("check", importing(keys, more), changes);
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  const std::string bare = refusal("file = \"bare.pth\"\n" + with_head);
  EXPECT_NE(bare.find("head: the file has no \"fc.weight\""), std::string::npos) << bare;
  const std::string fewer =
      refusal("file = \"w.pth\"\n" + with_head, "", {"--set", "data.labelled.classes=[0, 1]"});
  EXPECT_NE(fewer.find("head: \"fc.weight\" has shape ["), std::string::npos) << fewer;
  const std::string none = refusal("file = \"w.pth\"", scoring);
  EXPECT_NE(none.find("a head comes with its table `head"), std::string::npos) << none;
}

TEST_F(ImportTest, WeightsThatAreNotFiniteAreRefused) {
  export_to("w.safetensors");
  std::string bytes = read_file(path("w.safetensors"));
  bytes.replace(bytes.size() - 4, 4, std::string("\0\0\xc0\x7f", 4));  // the head's last number
  write_file(path("w.safetensors"), bytes);
  importing("file = \"w.safetensors\"\n" + with_head);
  const Outcome outcome = call("run", imported_);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("its weights are not finite: \"fc.bias\""), std::string::npos)
      << outcome.err;
}

TEST_F(ImportTest, GapsThatAreAllowedAreWarnedOf) {
  export_to("w.pth");
  importing("file = \"w.pth\"\nallow = [\"conv1\"]");
  const Outcome outcome = call("run", imported_, {"--set", "model.backbone.stem=imagenet"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("as `allow` permits: conv1.weight"), std::string::npos) << outcome.err;
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

/// The folders of repeats were called run-0, run-1 before version 2.0.
TEST_F(ImportTest, StagesOfEarlierVersionsAreRead) {
  export_to("w.safetensors");
  const fs::path stage = fs::canonical(out_ / "training/finetune");
  const std::vector<std::string> arguments = {"--stage", "finetune", "--data", "test", "--to"};
  const auto to = [&](const char* name) {
    std::vector<std::string> all = arguments;
    all.push_back(path(name));
    return all;
  };
  ASSERT_EQ(call("features", trained_, to("new.npy")).code, 0);
  fs::rename(stage / "repeat-0", stage / "run-0");
  std::string record = read_file(stage / "stage.json");
  for (size_t at = 0; (at = record.find("repeat-0", at)) != std::string::npos;) {
    record.replace(at, 8, "run-0");
  }
  write_file(stage / "stage.json", record);
  const Outcome old = call("features", trained_, to("old.npy"));
  ASSERT_EQ(old.code, 0) << old.err;
  EXPECT_EQ(read_file(path("old.npy")), read_file(path("new.npy")));
  const Outcome exported = run_bissl({"export", stage.string(), "--to", path("old.safetensors")});
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_EQ(read_file(path("old.safetensors")), read_file(path("w.safetensors")));
  // A stage's folder in the place of a file names the files in it.
  importing("file = \"w.safetensors\"");
  const Outcome folder =
      run_bissl({"import", stage.string(), "--into", imported_.string(), "--stage", "again"});
  EXPECT_EQ(folder.code, 2);
  EXPECT_NE(folder.err.find("is a folder of a stage: name a file in it, " +
                            (stage / "run-0/backbone.safetensors").string()),
            std::string::npos)
      << folder.err;
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

}  // namespace
}  // namespace bissl::host::test
