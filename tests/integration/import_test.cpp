// Weights from other programs: the stage kind `import`.

#include "import_fixture.h"

namespace bissl::host::test {
namespace {

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
    // What is written of it has timm's names, or torchvision's where its networks are such.
    const std::vector<std::string> exporting = {"export", (out_ / "transformer/finetune").string(),
                                                "--to", path("v.pth"), "--force"};
    std::vector<std::string> renaming = exporting;
    renaming.insert(renaming.end(), {"--names", "torchvision"});
    const Outcome renamed = run_bissl(renaming);
    if (variant.registers == "0") {
      ASSERT_EQ(renamed.code, 0) << renamed.err;
      const auto note = nlohmann::json::parse(read_file(path("v.pth.json")));
      EXPECT_EQ(note["names"], "torchvision");
      EXPECT_TRUE(note["tensors"].contains("encoder.layers.encoder_layer_1.mlp.3.bias")) << note;
      EXPECT_TRUE(note["tensors"].contains("heads.head.weight")) << note;
    } else {
      EXPECT_EQ(renamed.code, 2);
      EXPECT_NE(renamed.err.find("--names torchvision: the backbone has a \"reg_token\""),
                std::string::npos)
          << renamed.err;
    }
    ASSERT_EQ(run_bissl(exporting).code, 0);
    EXPECT_EQ(nlohmann::json::parse(read_file(path("v.pth.json")))["names"], "timm");
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
      {file + "\nsource = \"moco\"", {"stage.start.rule={prefix=\"a.\"}"}, {"begin with \"a.\""}},
      {file + "\nrule = { prefix = \"a.\" }",
       {"stage.start.source=moco"},
       {"rule moco looks for the weights at \"state_dict\""}},
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
  // A classifier of another program is a head's last layer, whatever the shape of those before it.
  const std::string hidden = refusal(
      "file = \"w.pth\"\nhead = { data = \"labelled\", downstream = { use = \"classification\", "
      "hidden = [10] } }");
  EXPECT_NE(hidden.find("head: the file has no \"hidden0.weight\""), std::string::npos) << hidden;
  const std::string none = refusal("file = \"w.pth\"", scoring);
  EXPECT_NE(none.find("a head comes with its table `head"), std::string::npos) << none;
}

/// A classifier that no rule leaves out, under a name of its own in the file.
TEST_F(ImportTest, AHeadIsTakenWhateverTheFileCallsIt) {
  export_to("w.pth");
  for (const std::string more :
       {"", "allow = [\"classifier.1\"]\n"}) {  // allowed or not, it is no gap
    SCOPED_TRACE(more);
    importing("file = \"w.pth\"\nrule = { rename = [\"^fc=classifier.1\"] }\n" + more + with_head);
    const Outcome outcome = call("check", imported_);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
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

}  // namespace
}  // namespace bissl::host::test
