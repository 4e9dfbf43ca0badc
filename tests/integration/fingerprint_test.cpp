// What represents data in stages' keys, and what is read for it.

#include "program.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// A pipeline over a folder of eight files that changed an hour ago.
class FingerprintTest : public testing::Test {
 protected:
  FingerprintTest() {
    fs::create_directory(plugins_);
    fs::copy_file(std::string(fixture_plugin_folder) + "/names_its_files.so",
                  plugins_ / "names_its_files.so");
    fs::create_directory(data_);
    fs::create_directories(folder_.path() / "runs" / ".store");
    for (int i = 0; i < 8; ++i) {
      write(std::string(i % 2 == 0 ? "a" : "b") + std::to_string(i),
            std::string(16, char('0' + i)));
    }
  }

  void write(const std::string& name, const std::string& content) const {
    write_file(data_ / name, content);
    fs::last_write_time(data_ / name, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }

  /// The key of the pretrain stage, with more in the data's table.
  std::string key(const std::string& more = "",
                  const std::vector<std::string>& options = {}) const {
    const fs::path file = folder_.path() / "p.toml";
    write_file(file, "name = \"p\"\n[data.images]\nuse = \"raw-images\"\nroot = \"" +
                         data_.string() + "\"\n" + more + "[model.backbone]\n" + backbone_ +
                         "[stage.pretrain]\nkind = \"pretrain\"\ndata = \"images\"\nsteps = 1\n"
                         "augment = { use = \"simclr\" }\npretext = { use = \"simclr\" }\n"
                         "optimizer = { use = \"sgd\", lr = 0.1 }\n");
    std::vector<std::string> call = {"store",         "explain",
                                     file.string(),   "--json",
                                     "--out",         (folder_.path() / "runs").string(),
                                     "--plugin-path", plugins_.string()};
    call.insert(call.end(), options.begin(), options.end());
    const Outcome outcome =
        run_bissl(call, {{"XDG_CACHE_HOME", (folder_.path() / "cache").string()}});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["stages"][0]["key"];
  }

  /// The keys of a pretraining with each of these ways to make views and to descend.
  std::vector<std::string> keys_with(const std::vector<std::string>& tables) const {
    std::string text = "name = \"p\"\n[data.images]\nuse = \"raw-images\"\nroot = \"" +
                       data_.string() + "\"\n[model.backbone]\n" + backbone_;
    for (size_t i = 0; i < tables.size(); ++i) {
      text += "[stage.s" + std::to_string(i) + "]\nkind = \"pretrain\"\ndata = \"images\"\n" +
              "steps = 1\npretext = { use = \"simclr\" }\n" + tables[i];
    }
    const fs::path file = folder_.path() / "several.toml";
    write_file(file, text);
    const Outcome outcome =
        run_bissl({"store", "explain", file.string(), "--json", "--out",
                   (folder_.path() / "runs").string(), "--plugin-path", plugins_.string()},
                  {{"XDG_CACHE_HOME", (folder_.path() / "cache").string()}});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::vector<std::string> keys;
    if (outcome.code == 0) {
      const nlohmann::json told = nlohmann::json::parse(outcome.out);
      for (const nlohmann::json& stage : told["stages"]) {
        keys.push_back(stage["key"]);
      }
    }
    return keys;
  }

  const TemporaryFolder folder_;
  const fs::path plugins_ = folder_.path() / "plugins";
  fs::path data_ = folder_.path() / "data";
  std::string backbone_ = "use = \"resnet18\"\nwidth = 2\n";
};

TEST_F(FingerprintTest, AKeyIsOfTheContentWhereverItLies) {
  const std::string before = key();
  EXPECT_EQ(key("cache = 100\n"), before) << "what changes no result";
  const fs::path moved = folder_.path() / "elsewhere" / "images";
  fs::create_directories(moved.parent_path());
  fs::rename(data_, moved);
  data_ = moved;
  EXPECT_EQ(key(), before);
  write("a0", std::string(16, 'x'));
  EXPECT_NE(key(), before);
}

TEST_F(FingerprintTest, AKeyIsOfTheContentOfABackbonesFile) {
  const fs::path modules = fs::path(source_folder) / "tests/reference/golden/torchscript";
  const auto key_with = [&](const std::string& module, const std::string& name) {
    fs::copy_file(modules / module, folder_.path() / name);
    backbone_ = "use = \"torchscript\"\nfile = \"" + name + "\"\n";
    return key();
  };
  const std::string first = key_with("network.pt", "first.pt");
  EXPECT_EQ(key_with("network.pt", "second.pt"), first);
  EXPECT_NE(key_with("maps.pt", "third.pt"), first);
}

TEST_F(FingerprintTest, AKeyIsOfTheContentOfWhatAStagesComponentsName) {
  fs::copy_file(std::string(fixture_plugin_folder) + "/reads_files.so",
                plugins_ / "reads_files.so");
  for (const char* place : {"moved", "folder", "same", "other"}) {
    fs::create_directory(folder_.path() / place);
  }
  for (const char* file : {"one", "moved/one", "folder/x", "same/x", "other/y"}) {
    write_file(folder_.path() / file, "1");
  }
  write_file(folder_.path() / "two", "2");
  const auto component = [](const std::string& kind, const std::string& values) {
    return "{ use = \"reading-" + kind + "\", " + values + " }";
  };
  const auto chain = [&](const std::string& values) {
    return "[{ use = \"to-planes\" }, " + component("transform", values) + "]";
  };
  const std::string sgd = "optimizer = { use = \"sgd\", lr = 0.1 }\n";
  const std::string simclr = "augment = { use = \"simclr\" }\n";
  const auto in_augment = [&](const std::string& values) {
    return sgd + "augment = " + chain(values) + "\n";
  };
  const auto in_views = [&](const std::string& values) {
    return sgd + "views = [{ count = 2, augment = " + chain(values) + " }]\n";
  };
  const auto in_subtable = [&](const std::string& values) {
    return sgd + simclr + "monitor = { data = \"images\", every = 1, augment = " + chain(values) +
           " }\n";
  };
  const auto in_optimizer = [&](const std::string& values) {
    return simclr + "optimizer = " + component("optimizer", values) + "\n";
  };
  std::vector<std::string> tables;
  for (const std::function<std::string(const std::string&)>& in :
       {std::function<std::string(const std::string&)>(in_augment),
        std::function<std::string(const std::string&)>(in_views),
        std::function<std::string(const std::string&)>(in_subtable),
        std::function<std::string(const std::string&)>(in_optimizer)}) {
    for (const char* file : {"one", "moved/one", "two"}) {
      tables.push_back(in("first = \"" + std::string(file) + "\""));
    }
  }
  for (const char* values : {"second = \"one\"", "first = \"\"", "several = [\"one\", \"two\"]",
                             "several = [\"two\", \"one\"]", "several = [\"moved/one\", \"two\"]",
                             "quiet = \"one\"", "quiet = \"moved/one\"", "quiet = \"two\"",
                             "first = \"folder\"", "first = \"same\"", "first = \"other\""}) {
    tables.push_back(in_augment(values));
  }
  const std::vector<std::string> keys = keys_with(tables);
  ASSERT_EQ(keys.size(), tables.size());
  std::set<std::string> different(keys.begin(), keys.end());
  for (const size_t first : {0, 3, 6, 9}) {
    EXPECT_EQ(keys[first], keys[first + 1]) << tables[first] << ": it lies elsewhere";
    EXPECT_NE(keys[first], keys[first + 2]) << tables[first] << ": it has another content";
  }
  EXPECT_EQ(keys[14], keys[16]) << "an array of paths";
  EXPECT_EQ(keys[17], keys[18]) << "a path that is declared to change no result";
  EXPECT_EQ(keys[20], keys[21]) << "a folder";
  EXPECT_EQ(different.size(), keys.size() - 7) << "all others are different stages";
}

TEST_F(FingerprintTest, AFileThatAComponentNamesMustBeThere) {
  fs::copy_file(std::string(fixture_plugin_folder) + "/reads_files.so",
                plugins_ / "reads_files.so");
  const fs::path file = folder_.path() / "missing.toml";
  write_file(file, "name = \"p\"\n[data.images]\nuse = \"raw-images\"\nroot = \"" + data_.string() +
                       "\"\n[model.backbone]\n" + backbone_ +
                       "[stage.pretrain]\nkind = \"pretrain\"\ndata = \"images\"\nsteps = 1\n"
                       "augment = { use = \"simclr\" }\npretext = { use = \"simclr\" }\n"
                       "optimizer = { use = \"reading-optimizer\", first = \"nowhere\" }\n");
  const Outcome outcome =
      run_bissl({"check", file.string(), "--out", (folder_.path() / "runs").string(),
                 "--plugin-path", plugins_.string()});
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  for (const char* said :
       {"stage.pretrain (", "optimizer reading-optimizer (library ", "/nowhere"}) {
    EXPECT_NE(outcome.err.find(said), std::string::npos) << said << "\n" << outcome.err;
  }
}

TEST_F(FingerprintTest, FilesThatSeemUnchangedAreReadAgainOnlyIfAskedFor) {
  const std::string before = key();
  const auto time = fs::last_write_time(data_ / "a0");
  write_file(data_ / "a0", std::string(16, 'x'));
  fs::last_write_time(data_ / "a0", time);
  EXPECT_EQ(key(), before) << "size and time are as they were";
  const std::string after = key("", {"--rehash"});
  EXPECT_NE(after, before);
  EXPECT_EQ(key(), after) << "the new hash is kept";
}

TEST_F(FingerprintTest, AKeyThatTheDatasetDeclaresIsTheDatasetsAndTheHostsHasAPlace) {
  const std::set<std::string> keys = {key(), key("limit = 4\n"), key("host.limit = 4\n"),
                                      key("limit = 4\nhost.limit = 2\n")};
  EXPECT_EQ(keys.size(), 4U) << "each is another choice";
  EXPECT_EQ(key("host = { per_class = 2 }\n"), key("per_class = 2\n"));
  const Outcome outcome = run_bissl({"describe", "raw-images", "--plugin-path", plugins_.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("the program's own `limit` is `host.limit` here"), std::string::npos)
      << outcome.out;
}

TEST_F(FingerprintTest, ConformLooksAtTheFilesThatADatasetNames) {
  const Outcome outcome =
      run_bissl({"conform", "--json", (plugins_ / "names_its_files.so").string(), "--set",
                 "root=" + data_.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("the files that it names are those of the fingerprint"),
            std::string::npos)
      << outcome.out;
}

}  // namespace
}  // namespace bissl::host::test
