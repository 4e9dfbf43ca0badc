#include "fixture.h"

#include "base/json_text.h"
#include "bissl/abi.h"
#include "bissl/hash.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

class LockTest : public PipelineTest {
 protected:
  const std::string text_ =
      std::string(head) + pretrain +
      "[data.\"test.1\"]\nuse = \"clothes\"\nfolder = \"/a \\\"b\\\"\\n\"\nper_class = 3\n"
      "classes = [\"x\", \"y\"]\n"
      "[stage.bissl]\nkind = \"bissl\"\nfrom = \"pretrain\"\nlambda = 1e-5\n"
      "upper = { data = \"test.1\" }\n"
      "lower = { augment = { use = \"flip\", scale = [0.1, 1e300] } }\n"
      "hypergradient = { use = \"cg\", damping = 0.1 }\n"
      "[stage.again]\nlike = \"bissl\"\nfrom = \"scratch\"\n"
      "lower = { data = \"train\", optimizer = { use = \"sgd\", lr = 1, clip = 0.5 } }\n";

  std::map<std::string, std::string> fingerprints_ = {{"train", "f1"}, {"test.1", "f2"}};

  std::string key(const Pipeline& pipeline, const std::string& stage,
                  const std::string& parent = "p") {
    return hash_hex(
        json_text(stage_description(pipeline, pipeline.stage(stage), fingerprints_, parent)));
  }
};

TEST_F(LockTest, ReadsBackAsAnEqualPipeline) {
  const Pipeline original = sound(text_);
  const std::string lock = to_lock_toml(original, {{"torch", "1.13.1"}, {"data \"x\"", "abc"}});
  const Pipeline again = sound(lock);
  EXPECT_EQ(canonical(again), canonical(original)) << lock;
  ASSERT_EQ(again.stages.size(), original.stages.size());
  for (size_t i = 0; i < again.stages.size(); ++i) {
    EXPECT_EQ(again.stages[i].name, original.stages[i].name);
    EXPECT_EQ(key(again, again.stages[i].name), key(original, again.stages[i].name));
  }
  EXPECT_EQ(to_lock_toml(again, {{"torch", "1.13.1"}, {"data \"x\"", "abc"}}), lock);
}

TEST_F(LockTest, AComponentThatStartedAfreshStaysSo) {
  // clip is unset in the stage that took another optimizer, though its ancestor sets one.
  const std::string text = std::string(head) + pretrain +
                           "[stage.bissl]\nkind = \"bissl\"\nfrom = \"pretrain\"\n"
                           "upper = { data = \"train\" }\nhypergradient = { use = \"cg\" }\n"
                           "lower = { optimizer = { use = \"adamw\", lr = 1 } }\n";
  const Pipeline original = sound(text, {"stage.pretrain.optimizer.clip=1"});
  EXPECT_EQ(canonical(sound(to_lock_toml(original))), canonical(original));
}

TEST_F(LockTest, IsWrittenOutInFull) {
  const Pipeline pipeline = sound(std::string(head) + pretrain, {"seed=3"});
  EXPECT_EQ(to_lock_toml(pipeline, {{"torch", "1.13.1"}}),
            "name = \"test\"\n"
            "seed = 3\n"
            "\n[data.train]\n"
            "use = \"digits-lib/digits\"\n"
            "noise = 0.0\n"
            "split = \"train\"\n"
            "classes = []\n"
            "per_class = 0\n"
            "\n[model.backbone]\n"
            "use = \"nets/tiny\"\n"
            "width = 8\n"
            "\n[stage.pretrain]\n"
            "kind = \"pretrain\"\n"
            "from = \"scratch\"\n"
            "batch = 64\n"
            "data = \"train\"\n"
            "epochs = 3\n"
            "\n[stage.pretrain.augment]\n"
            "use = \"views/crop\"\n"
            "size = 24\n"
            "\n[stage.pretrain.optimizer]\n"
            "use = \"descent/sgd\"\n"
            "lr = 0.5\n"
            "momentum = 0.8\n"
            "nesterov = false\n"
            "\n[stage.pretrain.schedule]\n"
            "use = \"cosine\"\n"
            "warmup_epochs = 2\n"
            "\n[lock]\n"
            "sdk = \"" +
                fmt::format("{}.{}.{}", BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR,
                            BISSL_SDK_VERSION_PATCH) +
                "\"\n"
                "identity = \"" +
                identity_of(pipeline, {{"torch", "1.13.1"}}) +
                "\"\n"
                "torch = \"1.13.1\"\n"
                "\n[lock.libraries]\n"
                "descent = \"1.2.3\"\n"
                "digits-lib = \"1.2.3\"\n"
                "nets = \"1.2.3\"\n"
                "views = \"1.2.3\"\n");
}

TEST_F(LockTest, KeepsPluginFolders) {
  components_.offer(folder_.path() / "mine", ComponentKind::backbone, "novel");
  const Pipeline original = sound(
      "[plugins]\npath = [\"mine\"]\n[stage.x]\nlike = \"pretrain\"\n" + std::string(pretrain),
      {"name=t", "model.backbone.use=novel", "data.train.use=digits"});
  std::filesystem::create_directory(folder_.path() / "run");
  write("run/lock.toml", to_lock_toml(original));
  const ReadResult again = read({}, "run/lock.toml");
  ASSERT_TRUE(again.pipeline) << to_text(again.diagnostics);
  EXPECT_EQ(again.pipeline->plugin_folders, original.plugin_folders);
}

TEST_F(LockTest, SaysThatAFolderIsLeftOut) {
  Pipeline pipeline = sound(text_);
  pipeline.plugin_folders = {"/plugins/\xff", "/plugins/b"};
  const std::string lock = to_lock_toml(pipeline);
  EXPECT_NE(lock.find("[plugins]\n# A folder is left out"), std::string::npos) << lock;
  EXPECT_NE(lock.find("path = [\"/plugins/b\"]"), std::string::npos) << lock;
}

TEST_F(LockTest, SpellingAndOrderDoNotChangeTheKey) {
  const std::string key_of_one = key(sound(std::string(head) + pretrain), "pretrain");
  const std::string other =
      "stage.pretrain.epochs = 0x3\n"
      "seed = 0\n"
      "name = 'other'\n"
      "model = { backbone = { width = 8, use = 'nets/tiny' } }\n"
      "data.train = { noise = 0, split = \"\"\"train\"\"\", use = 'digits' }\n"
      "[stage.pretrain.schedule]\nwarmup_epochs = 2\n"
      "[stage.pretrain.optimizer]\nmomentum = 8e-1\nlr = 0.50\nuse = 'sgd'\nnesterov = false\n"
      "[stage.pretrain.augment]\nsize = 24\nuse = 'crop'\n";
  write("base.toml", other);
  EXPECT_EQ(key(sound("include = [\"base.toml\"]\n[stage.pretrain]\nkind = \"pretrain\"\n",
                      {"stage.pretrain.batch=64", "stage.pretrain.data=train"}),
                "pretrain"),
            key_of_one);
  EXPECT_EQ(key(sound(std::string(head) + pretrain, {"data.train.noise=-0.0"}), "pretrain"),
            key_of_one);
}

TEST_F(LockTest, NamesOfStagesAndDataDoNotChangeTheKey) {
  const std::string before = key(sound(text_), "bissl");
  std::string renamed = text_;
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (size_t at = renamed.find(from); at != std::string::npos; at = renamed.find(from, at)) {
      renamed.replace(at, from.size(), to);
      at += to.size();
    }
  };
  replace("data.train", "data.unlabeled");
  replace("\"train\"", "\"unlabeled\"");
  replace("stage.pretrain", "stage.first");
  replace("from = \"pretrain\"", "from = \"first\"");
  replace("stage.bissl", "stage.second");
  replace("\"test.1\"", "\"few\"");
  replace("like = \"bissl\"", "like = \"second\"");
  fingerprints_ = {{"unlabeled", "f1"}, {"few", "f2"}};
  EXPECT_EQ(key(sound(renamed), "second"), before);
}

TEST_F(LockTest, EveryRealChangeChangesTheKey) {
  const Pipeline original = sound(text_);
  std::set<std::string> keys = {key(original, "bissl")};
  const Lines changes = {"seed=1",
                         "model.backbone.width=9",
                         "data.train.noise=0.1",
                         "data.train.per_class=1",
                         "data.train.use=clothes",
                         "stage.bissl.rounds=99",
                         "stage.bissl.lambda=0.002",
                         "stage.bissl.lower.steps=21",
                         "stage.bissl.lower.batch=65",
                         "stage.bissl.lower.augment.scale=[0.1]",
                         "stage.bissl.lower.optimizer.clip=1",
                         "stage.bissl.lower.schedule.use=constant",
                         "stage.bissl.upper.data=train",
                         "stage.bissl.hypergradient.iterations=6",
                         "stage.bissl.hypergradient.use=neumann"};
  for (const std::string& change : changes) {
    EXPECT_TRUE(keys.insert(key(sound(text_, {change}), "bissl")).second) << change;
  }
  EXPECT_TRUE(keys.insert(key(original, "bissl", "other parent")).second);
  fingerprints_["train"] = "f3";
  EXPECT_TRUE(keys.insert(key(original, "bissl")).second);
  components_.set_version("solvers", "1.2.4");
  EXPECT_TRUE(keys.insert(key(sound(text_), "bissl")).second);
}

TEST_F(LockTest, ChangesElsewhereKeepTheKey) {
  const std::string before = key(sound(text_), "pretrain");
  for (const char* change :
       {"name=x", "stage.bissl.rounds=99", "data.\"test.1\".per_class=9", "stage.again.lambda=3"}) {
    EXPECT_EQ(key(sound(text_, {change}), "pretrain"), before) << change;
  }
}

TEST_F(LockTest, DataSourcesWithTheSameContentAreTold) {
  // Two sources that differ only by their fingerprints.
  const std::string text = std::string(head) + pretrain + "[data.twin]\nuse = \"digits\"\n";
  fingerprints_ = {{"train", "f1"}, {"twin", "f1"}};
  EXPECT_EQ(key(sound(text), "pretrain"),
            key(sound(text, {"stage.pretrain.data=twin"}), "pretrain"));
  fingerprints_["twin"] = "f2";
  EXPECT_NE(key(sound(text), "pretrain"),
            key(sound(text, {"stage.pretrain.data=twin"}), "pretrain"));
}

TEST_F(LockTest, DescriptionsReplaceDataNamesInListsToo) {
  const Pipeline pipeline =
      sound(std::string(head) + pretrain +
            "[stage.k]\nkind = \"knn\"\nfrom = \"pretrain\"\ndata = [\"train\"]\n");
  const nlohmann::json description =
      stage_description(pipeline, pipeline.stage("k"), fingerprints_, "parent");
  EXPECT_EQ(description.at("table").at("values").at("data")[0].at("fingerprint"), "f1");
  EXPECT_EQ(description.at("parent"), "parent");
  EXPECT_EQ(description.dump().find("pretrain"), std::string::npos);
}

/// A pipeline with keys that change no result: of a component, of a table and of a subtable.
class ExecutionTest : public LockTest {
 protected:
  ExecutionTest() {
    ParameterSpec root = parameter("root", std::string("/data"));
    root.traits["execution_only"] = true;
    components_.add(ComponentKind::dataset, "stored-lib", "stored",
                    {root, parameter("split", std::string("train"))});
    ParameterSpec graph = parameter("graph", std::string("kept"));
    graph.traits["execution_only"] = true;
    kinds_[0].table.parameters.push_back(graph);
    TableSpec audit;
    audit.parameters = {parameter("every", int64_t{100})};
    SubtableSpec subtable{"audit", audit, false, "a look"};
    subtable.execution_only = true;
    kinds_[0].table.tables.push_back(subtable);
    fingerprints_ = {{"train", "f1"}};
  }

  Pipeline with(const std::string& data, const std::string& stage) {
    return sound("name = \"test\"\n[data.train]\nuse = \"stored\"\n" + data +
                 "[model.backbone]\nuse = \"tiny\"\n" + pretrain + stage);
  }
};

TEST_F(ExecutionTest, IsInNoKeyAndNotCompared) {
  const Pipeline plain = with("", "");
  const std::string own_key = key(plain, "pretrain");
  const auto expect_same = [&](const Pipeline& other) {
    EXPECT_EQ(key(other, "pretrain"), own_key);
    EXPECT_EQ(canonical(other), canonical(plain));
    EXPECT_EQ(identity_of(other, {{"torch", "1"}}), identity_of(plain, {{"torch", "1"}}));
  };
  expect_same(with("root = \"/elsewhere\"\n", ""));
  expect_same(with("", "graph = \"recomputed\"\n"));
  expect_same(with("", "audit = { every = 7 }\n"));
  EXPECT_NE(key(with("split = \"test\"\n", ""), "pretrain"), own_key);
  EXPECT_NE(identity_of(with("split = \"test\"\n", ""), {}), identity_of(plain, {}));
  EXPECT_NE(identity_of(plain, {{"torch", "2"}}), identity_of(plain, {{"torch", "1"}}));
}

TEST_F(ExecutionTest, StandsInTheLockAllTheSame) {
  const Pipeline pipeline = with("root = \"/elsewhere\"\n", "graph = \"recomputed\"\n");
  const std::string lock = to_lock_toml(pipeline);
  EXPECT_NE(lock.find("root = \"/elsewhere\"\n"), std::string::npos);
  EXPECT_NE(lock.find("graph = \"recomputed\"\n"), std::string::npos);
  EXPECT_EQ(identity_in_lock(lock), identity_of(pipeline, {}));
  EXPECT_EQ(identity_in_lock("name = \"x\"\n"), "");
  EXPECT_EQ(identity_in_lock("no toml"), "");
}

/// A dataset with a parameter that has an effect only with another one.
class EffectTest : public LockTest {
 protected:
  EffectTest() {
    ParameterSpec noise = parameter("noise", 0.5);
    noise.only_with.push_back(
        {EffectCondition::Relation::one_of, {"mode"}, {std::string("noisy")}});
    components_.add(ComponentKind::dataset, "lib", "images",
                    {parameter("mode", std::string("plain")), noise});
  }

  std::string text(const std::string& data) const {
    return "name = \"test\"\n[data.train]\nuse = \"images\"\n" + data +
           "[model.backbone]\nuse = \"tiny\"\n" + pretrain;
  }
};

TEST_F(EffectTest, WhatIsGivenInVainIsWarnedOfAlsoWhereItIsTheDefault) {
  EXPECT_EQ(faults_of(text("")), Lines{});
  EXPECT_EQ(faults_of(text("noise = 0.5\n")),
            Lines{"p.toml:4:9: warning: data.train.noise: has no effect with mode = \"plain\""});
  EXPECT_EQ(faults_of(text("mode = \"noisy\"\nnoise = 0.5\n")), Lines{});
  EXPECT_EQ(faults_of(text("mode = \"noisy\"\nnoise = 0.1\n"), {"data.train.mode=plain"}),
            Lines{"p.toml:5:9: warning: data.train.noise: has no effect with mode = \"plain\""});
}

TEST_F(EffectTest, ALockWritesDefaultsThatNobodyGave) {
  EXPECT_EQ(faults_of(to_lock_toml(sound(text("")))), Lines{});
  const std::string lock = to_lock_toml(read_text(text("noise = 0.1\n")).pipeline.value());
  const Lines said = faults_of(lock);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].find("data.train.noise: has no effect"), std::string::npos);
}

TEST_F(LockTest, DescriptionsSayTheirForm) {
  const Pipeline pipeline = sound(std::string(head) + pretrain);
  const nlohmann::json description =
      stage_description(pipeline, pipeline.stage("pretrain"), fingerprints_, "");
  EXPECT_EQ(description.at("format"), stage_key_format);
  EXPECT_EQ(stage_key_format, 2);
}

TEST_F(LockTest, AMissingFingerprintIsAnError) {
  const Pipeline pipeline = sound(std::string(head) + pretrain);
  EXPECT_THROW(stage_description(pipeline, pipeline.stage("pretrain"), {}, ""), Error);
}

TEST_F(LockTest, CanonicalComponents) {
  const Pipeline pipeline = sound(std::string(head) + pretrain, {"stage.pretrain.optimizer.lr=1"});
  EXPECT_EQ(canonical(pipeline.stage("pretrain").table.component("optimizer")).dump(),
            R"({"kind":"optimizer","library":"descent","name":"sgd","values":{"clip":null,)"
            R"("lr":1.0,"momentum":0.8,"nesterov":false},"version":"1.2.3"})");
}

/// A parameter that came later than stages without it.
class AbsenceTest : public LockTest {
 protected:
  AbsenceTest() {
    without_ = key(sound(text("")), "pretrain");
    ParameterSpec precision = parameter("precision", std::string("fp32"));
    precision.traits[default_is_absence] = true;
    kinds_[0].table.parameters.push_back(precision);
  }

  static std::string text(const std::string& more) { return std::string(head) + pretrain + more; }

  std::string without_;  ///< the key before there was such a parameter
};

TEST_F(AbsenceTest, IsInKeysOnlyWhereItIsNotTheDefault) {
  EXPECT_EQ(key(sound(text("")), "pretrain"), without_);
  EXPECT_EQ(key(sound(text("precision = \"fp32\"\n")), "pretrain"), without_);
  const Pipeline other = sound(text("precision = \"bf16\"\n"));
  EXPECT_NE(key(other, "pretrain"), without_);
  EXPECT_NE(canonical(other), canonical(sound(text(""))));
  EXPECT_EQ(canonical(sound(to_lock_toml(other))), canonical(other));
  EXPECT_EQ(identity_in_lock(to_lock_toml(sound(text("precision = \"fp32\"\n")))),
            identity_of(sound(text("")), {}));
}

}  // namespace
}  // namespace bissl::host::test
