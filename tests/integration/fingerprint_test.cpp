// What represents data in stages' keys, and what is read for it.

#include "program.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

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
