// What can be wrong with a file before anything in it is run.

#include "fixtures.h"
#include "plugins/elf.h"
#include "support/temporary_folder.h"

#include <elf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

LoadProblem not_a_library(const std::string& found, const std::string& advice) {
  return {"", "open", "not_a_library", found, "a shared library (ELF) for this machine", advice};
}

const std::string give_the_library =
    "this is not what the linker makes: give the path of the plugin's .so file, or take this file "
    "out of the folder";
const std::string link_it =
    "link it as a shared library, as bissl_add_plugin does, and give the .so file";
const std::string for_this_machine =
    "get the library for this machine, or build it here with bissl_add_plugin";
const std::string copy_it =
    "a part of the file is missing: copy it again as a whole; if it was built here, see whether "
    "the disk was full, and link it again";

class PluginFile : public testing::Test {
 protected:
  fs::path write(const std::string& content) {
    const fs::path file = folder_.path() / "x.so";
    write_file(file, content);
    return file;
  }

  /// A copy of the good library whose header was changed.
  fs::path with_header(void (*change)(Elf64_Ehdr&)) {
    std::string content = read_file(fixture("good"));
    Elf64_Ehdr header{};
    std::memcpy(&header, content.data(), sizeof(header));
    change(header);
    std::memcpy(content.data(), &header, sizeof(header));
    return write(content);
  }

  TemporaryFolder folder_;
};

TEST_F(PluginFile, Missing) {
  expect_refusal(folder_.path() / "nowhere.so",
                 {"", "find", "missing", "nothing", "a plugin library", "correct the path"});
  expect_refusal(fixture("good") / "nowhere.so",
                 {"", "find", "missing", "nothing", "a plugin library", "correct the path"});
}

TEST_F(PluginFile, LinkThatLeadsNowhere) {
  fs::create_symlink("nowhere", folder_.path() / "x.so");
  expect_refusal(folder_.path() / "x.so", {"", "find", "missing", "a link that leads nowhere",
                                           "a plugin library", "correct the path"});
}

TEST_F(PluginFile, Folder) {
  fs::create_directory(folder_.path() / "x.so");
  expect_refusal(folder_.path() / "x.so", {"", "find", "not_a_file", "a folder", "a plugin library",
                                           "give the path of a .so file, or take this away"});
}

TEST_F(PluginFile, Unreadable) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "root can read everything";
  }
  const fs::path file = write(read_file(fixture("good")));
  fs::permissions(file, fs::perms::none);
  expect_refusal(file, {"", "find", "unreadable", "Permission denied",
                        "a plugin library that can be read", "let this user read it (chmod)"});
}

TEST_F(PluginFile, Text) {
  expect_refusal(write("no library\n"), not_a_library("a text file", give_the_library));
}

TEST_F(PluginFile, PointerOfGitLfs) {
  expect_refusal(write("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
                 not_a_library("a pointer of Git LFS in the library's place",
                               "fetch the library with \"git lfs pull\""));
}

/// A library that needs another one, which is not there.
TEST_F(PluginFile, MissingDependency) {
  const fs::path file = folder_.path() / "needy.so";
  const std::string command = fmt::format(
      "cd '{0}' && echo 'int f(){{return 1;}}' >d.c && echo 'int f(); int g(){{return f();}}' >n.c "
      "&& cc -shared -fPIC -o libd.so d.c && cc -shared -fPIC -o needy.so n.c -L. -ld",
      folder_.path().string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto advice = [&] { return refusal_of(file, true).at(0).advice; };
  EXPECT_EQ(advice().rfind("install the library that it needs", 0), 0U) << advice();
}

/// The sdk's library of version 1.2 is another one than this program's.
TEST_F(PluginFile, BuiltWithAnEarlierSdk) {
  const fs::path file = folder_.path() / "old.so";
  const std::string command = fmt::format(
      "cd '{0}' && echo 'int f(){{return 1;}}' >d.c && echo 'int f(); int g(){{return f();}}' >n.c "
      "&& cc -shared -fPIC -Wl,-soname,libbissl_sdk.so.1.2 -o libd.so d.c "
      "&& cc -shared -fPIC -o old.so n.c -L. -ld && rm libd.so",
      folder_.path().string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const LoadProblem problem = refusal_of(file, true).at(0);
  EXPECT_EQ(problem.code, "open_failed");
  EXPECT_EQ(problem.advice.rfind("it was built with bissl sdk 1.2, this program has 2.", 0), 0U)
      << problem.advice;
  EXPECT_NE(problem.advice.find("docs/upgrade.md"), std::string::npos) << problem.advice;
}

/// A function that a later minor version of the sdk has added.
TEST_F(PluginFile, BuiltWithALaterSdk) {
  const fs::path file = folder_.path() / "new.so";
  const std::string command = fmt::format(
      "cd '{0}' && echo 'int _ZN5bissl9later_oneEv(); int g(){{return _ZN5bissl9later_oneEv();}}' "
      ">n.c && cc -shared -fPIC -o new.so n.c",
      folder_.path().string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const LoadProblem problem = refusal_of(file, true).at(0);
  EXPECT_EQ(problem.code, "open_failed");
  EXPECT_NE(problem.advice.find("does not have what it uses: load it with a newer bissl"),
            std::string::npos)
      << problem.advice;
}

/// The text in the constructor of bissl::Error is one of libstdc++'s old ABI, as with a LibTorch
/// that was built so.
TEST_F(PluginFile, BuiltWithTheOldTexts) {
  const std::string name = "_ZN5bissl5ErrorC1ENS_9ErrorKindERKSs";
  const fs::path file = folder_.path() / "old_abi.so";
  const std::string command = fmt::format(
      "cd '{0}' && echo 'int {1}(); int g(){{return {1}();}}' >n.c "
      "&& cc -shared -fPIC -o old_abi.so n.c",
      folder_.path().string(), name);
  ASSERT_EQ(std::system(command.c_str()), 0);
  const LoadProblem problem = refusal_of(file, true).at(0);
  EXPECT_EQ(problem.code, "open_failed");
  EXPECT_NE(problem.found.find(name), std::string::npos) << problem.found;
  EXPECT_EQ(problem.advice.rfind("it uses texts of the old C++ ABI (_GLIBCXX_USE_CXX11_ABI=0)", 0),
            0U)
      << problem.advice;
}

/// As Clang links libraries with a sanitizer: its run-time is in the program alone.
TEST_F(PluginFile, BuiltWithASanitizerThatIsNotHere) {
  const fs::path file = folder_.path() / "sanitized.so";
  const std::string command = fmt::format(
      "cd '{0}' && echo 'int __msan_of_a_test(); int g(){{return __msan_of_a_test();}}' >n.c "
      "&& cc -shared -fPIC -o sanitized.so n.c",
      folder_.path().string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const LoadProblem problem = refusal_of(file, true).at(0);
  EXPECT_EQ(problem.code, "open_failed");
  EXPECT_EQ(problem.advice.rfind("it was built with a sanitizer", 0), 0U) << problem.advice;
}

/// The other LibTorch is there, and is not taken into the process: its initialiser would end it.
TEST_F(PluginFile, LinkedWithAnotherLibTorch) {
  const fs::path file = folder_.path() / "other.so";
  const std::string command = fmt::format(
      "cd '{0}' && echo 'void abort(void); int f(){{return 1;}} "
      "__attribute__((constructor)) void start(){{abort();}}' >d.c "
      "&& echo 'int f(); int g(){{return f();}}' >n.c "
      "&& cc -shared -fPIC -Wl,-soname,libtorch_cpu.so.0 -o libtorch_cpu.so.0 d.c "
      "&& cc -shared -fPIC -Wl,-rpath,'{0}' -o other.so n.c libtorch_cpu.so.0",
      folder_.path().string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(needed_libraries(file).at(0), "libtorch_cpu.so.0");
  const LoadProblem problem = refusal_of(file, true).at(0);
  EXPECT_EQ(problem.step, "open");
  EXPECT_EQ(problem.code, "mismatch");
  EXPECT_EQ(problem.found, "a library linked with libtorch_cpu.so.0");
}

TEST_F(PluginFile, NoLibrariesAreReadFromTablesOfNonsense) {
  const fs::path file = with_header([](Elf64_Ehdr& header) { header.e_shoff = ~uint64_t{0} - 8; });
  EXPECT_TRUE(needed_libraries(file).empty());
  EXPECT_FALSE(needed_libraries(fixture("good")).empty());
}

TEST_F(PluginFile, NoAdviceToBuildAgainWhatWasBuiltRight) {
  const std::string whole = read_file(fixture("good"));
  for (const std::string& content :
       {std::string("words\n"), std::string("\x89PNG"), whole.substr(0, 40)}) {
    EXPECT_EQ(refusal_of(write(content), true).at(0).advice.find("build it again"),
              std::string::npos);
  }
}

/// Needs the right to mount, which a test of a user does not have.
TEST_F(PluginFile, OnAFileSystemThatIsMountedNoexec) {
  const fs::path mount = folder_.path() / "mounted";
  fs::create_directory(mount);
  const std::string where = "'" + mount.string() + "'";
  if (std::system(("mount -t tmpfs -o noexec tmpfs " + where + " 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "cannot mount here";
  }
  write_file(mount / "x.so", read_file(fixture("good")));
  const LoadProblem problem = refusal_of(mount / "x.so", true).at(0);
  EXPECT_EQ(std::system(("umount -l " + where).c_str()), 0);
  EXPECT_EQ(problem.code, "open_failed");
  EXPECT_NE(problem.advice.find("mounted noexec"), std::string::npos) << problem.advice;
  EXPECT_EQ(problem.advice.find("build"), std::string::npos) << problem.advice;
}

TEST_F(PluginFile, Empty) { expect_refusal(write(""), not_a_library("an empty file", copy_it)); }

TEST_F(PluginFile, OtherContent) {
  expect_refusal(write(std::string("\x89PNG\0\1\2", 7)),
                 not_a_library("a file of another kind", give_the_library));
  expect_refusal(write("!<arch>\nx.o/"), not_a_library("a static library", link_it));
}

TEST_F(PluginFile, CutShort) {
  const std::string whole = read_file(fixture("good"));
  // Within the magic number, the header, the table of segments, the code, and at the last byte.
  for (const size_t size :
       {size_t{2}, size_t{40}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    SCOPED_TRACE(size);
    expect_refusal(write(whole.substr(0, size)),
                   not_a_library(fmt::format("a library cut short to {} bytes", size), copy_it));
  }
}

TEST_F(PluginFile, HeaderOfNonsense) {
  const fs::path file = with_header([](Elf64_Ehdr& header) { header.e_phoff = ~uint64_t{0} - 8; });
  EXPECT_EQ(refusal_of(file, true).at(0).code, "not_a_library");
}

TEST_F(PluginFile, OtherMachine) {
  const fs::path file = with_header([](Elf64_Ehdr& header) { header.e_machine = EM_S390; });
  EXPECT_EQ(refusal_of(file, true)
                .at(0)
                .found.rfind("a library for another machine (ELF machine 22, here ", 0),
            0U);
  expect_refusal(with_header([](Elf64_Ehdr& header) { header.e_ident[EI_CLASS] = ELFCLASS32; }),
                 not_a_library("a 32-bit library, for another machine", for_this_machine));
  expect_refusal(
      with_header([](Elf64_Ehdr& header) {
        header.e_ident[EI_DATA] =
            header.e_ident[EI_DATA] == ELFDATA2LSB ? ELFDATA2MSB : ELFDATA2LSB;
      }),
      not_a_library("a library of the other byte order, for another machine", for_this_machine));
}

TEST_F(PluginFile, NotShared) {
  expect_refusal(with_header([](Elf64_Ehdr& header) { header.e_type = ET_REL; }),
                 not_a_library("an object file", link_it));
  expect_refusal(with_header([](Elf64_Ehdr& header) { header.e_type = ET_EXEC; }),
                 not_a_library("a program", give_the_library));
}

TEST_F(PluginFile, MissingSymbol) {
  const fs::path file = fixture("missing_symbol");
  expect_refusal(file, {"", "open", "open_failed",
                        fmt::format("\"{}: undefined symbol: "
                                    "bissl_fixture_function_that_is_nowhere\"",
                                    fs::canonical(file).string()),
                        "a library that the system's loader takes, with all symbols bound",
                        "link the library that defines the symbol (bissl_add_plugin finds such "
                        "gaps when it links), and build it with the sdk and LibTorch of this "
                        "program"});
}

TEST_F(PluginFile, StrippedLibraryIsTaken) {
  const fs::path file = folder_.path() / "stripped.so";
  const std::string command =
      fmt::format("strip -s -o '{}' '{}'", file.string(), fixture("good").string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  ASSERT_LT(fs::file_size(file), fs::file_size(fixture("good")));
  Registry registry;
  EXPECT_TRUE(registry.load_library(file, false));
  EXPECT_NE(registry.find(ComponentKind::optimizer, "still"), nullptr);
}

}  // namespace
}  // namespace bissl::host::test
