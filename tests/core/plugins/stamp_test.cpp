// Entry and stamp: what is compared before any C++ of the library is called.

#include "plugins/stamp.h"

#include "fixtures.h"
#include "plugins/library.h"
#include "plugins/refusal.h"

#include <fmt/format.h>

#include <cstring>

namespace bissl::host::test {
namespace {

const std::string host_sdk =
    fmt::format("bissl sdk {}.{}", BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR);
const std::string host_torch = fmt::format("{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR);

LoadProblem mismatch(const std::string& found, const std::string& expected,
                     const std::string& advice) {
  return {"",
          "stamp",
          "mismatch",
          "a library built with " + found,
          "one built with " + expected,
          "build it again " + advice};
}

TEST(PluginEntry, NoSymbol) {
  expect_refusal(fixture("no_entry"),
                 {"", "entry", "no_entry", "no symbol bissl_plugin_entry",
                  "the symbol bissl_plugin_entry, which the macro BISSL_PLUGIN defines",
                  "if it is meant to be a plugin, put BISSL_PLUGIN into one of its sources; "
                  "otherwise take it out of the folder"});
}

TEST(PluginEntry, SymbolOfALibraryThatItNeeds) {
  const std::string path = fixture("borrowed_entry").string();
  const auto problems = refusal_of(path, false);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].code, "no_entry");
  EXPECT_EQ(problems[0].found, "the symbol bissl_plugin_entry only in " + fixture("good").string() +
                                   ", which it needs");
}

TEST(PluginEntry, NullStamp) {
  expect_refusal(
      fixture("null_entry"),
      {"", "entry", "null_entry", "a null pointer from bissl_plugin_entry",
       "a pointer to the library's stamp", "let the macro BISSL_PLUGIN define bissl_plugin_entry"});
}

TEST(PluginStamp, BadMagic) {
  expect_refusal(fixture("bad_magic"),
                 {"", "stamp", "stamp", "the magic number 0x12345678",
                  "the magic number 0x4c535342 of bissl's stamp",
                  "let the macro BISSL_PLUGIN make the stamp and build the library again"});
}

TEST(PluginStamp, TooShort) {
  expect_refusal(fixture("short_stamp"),
                 {"", "stamp", "stamp", "a stamp of 40 bytes",
                  fmt::format("one of at least {} bytes", sizeof(BisslPluginStamp)),
                  "let the macro BISSL_PLUGIN make the stamp and build the library again"});
}

TEST(PluginStamp, NullFields) {
  expect_refusal(fixture("null_fields"),
                 {"", "stamp", "stamp", "a stamp whose version, register_components is null",
                  "one in which no pointer is null",
                  "let the macro BISSL_PLUGIN make the stamp and build the library again"});
}

TEST(PluginStamp, BadName) {
  expect_refusal(fixture("bad_name"), {"", "stamp", "bad_name", "the plugin name \"Bad Name\"",
                                       "a name of lower-case letters, digits and hyphens",
                                       "correct the first argument of BISSL_PLUGIN"});
}

TEST(PluginStamp, OtherSdk) {
  expect_refusal(fixture("other_sdk"),
                 mismatch("bissl sdk 99.3", host_sdk, "with this program's sdk headers"));
}

TEST(PluginStamp, SdkOfAnEarlierMajorVersion) {
  expect_refusal(
      fixture("sdk_1"),
      mismatch("bissl sdk 1.2", host_sdk,
               "with this program's sdk headers after porting its source: the interfaces of all "
               "kinds of component changed with sdk 2.0, and docs/upgrade.md "
               "(share/doc/bissl/docs/upgrade.md of an installation) says how"));
}

TEST(PluginStamp, OtherTorch) {
  expect_refusal(fixture("other_torch"),
                 mismatch("LibTorch 9.8", "LibTorch " + host_torch, "with LibTorch " + host_torch));
}

TEST(PluginStamp, OtherAbi) {
  const int host = static_cast<int>(host_stamp().cxx11_abi);
  const auto words = [](int abi) {
    return fmt::format("the {} C++ ABI (_GLIBCXX_USE_CXX11_ABI={})", abi == 0 ? "old" : "C++11",
                       abi);
  };
  expect_refusal(fixture("other_abi"),
                 mismatch(words(1 - host), words(host),
                          fmt::format("with -D_GLIBCXX_USE_CXX11_ABI={}", host)));
}

TEST(PluginStamp, DebugLibrary) {
  expect_refusal(fixture("debug_stdlib"),
                 mismatch("the debug standard library", "no use of the debug standard library",
                          "without -D_GLIBCXX_DEBUG"));
}

TEST(PluginStamp, AllDifferencesInOneReport) {
  const bool threads = (host_stamp().build_flags & BISSL_BUILD_THREAD_SANITIZER) != 0;
  const std::string with = "the thread sanitizer";
  const std::string without = "no use of the thread sanitizer";
  expect_refusal(
      fixture("several_differences"),
      mismatch(fmt::format("bissl sdk 99.3, LibTorch 9.8, libother, {}, unknown build flags 0x100",
                           threads ? without : with),
               fmt::format("{}, LibTorch {}, {}, {}, no others", host_sdk, host_torch,
                           host_stamp().stdlib, threads ? with : without),
               fmt::format("with this program's sdk headers, with LibTorch {}, with {}, {} "
                           "-fsanitize=thread, with the flags of this program",
                           host_torch, host_stamp().stdlib, threads ? "with" : "without")));
}

/// A plugin's stamp and a host's, of these versions of the sdk.
void check_versions(uint32_t plugin_minor, uint32_t host_minor) {
  BisslPluginStamp plugin = host_stamp();
  BisslPluginStamp host = host_stamp();
  plugin.sdk_minor = plugin_minor;
  host.sdk_minor = host_minor;
  plugin.name = "plugin";
  check_stamp(&plugin, host);
}

TEST(PluginStamp, OfAnEarlierMinorVersionIsTaken) {
  for (const uint32_t host : {0U, 1U, 2U, 9U, 10U}) {
    for (uint32_t plugin = 0; plugin <= host; ++plugin) {
      EXPECT_NO_THROW(check_versions(plugin, host)) << plugin << " in " << host;
    }
  }
}

/// Compiled with the headers of sdk 2.0.
TEST(PluginStamp, ALibraryOf20FitsEveryHostOf2) {
  const BisslPluginStamp* stamp = open_library(fixture("of_sdk_2_0"))();
  ASSERT_EQ(stamp->sdk_major, 2U);
  ASSERT_EQ(stamp->sdk_minor, 0U);
  for (const uint32_t minor : {0U, 1U, 9U, 100U}) {
    BisslPluginStamp host = host_stamp();
    host.sdk_major = 2;
    host.sdk_minor = minor;
    EXPECT_NO_THROW(check_stamp(stamp, host)) << "a host of 2." << minor;
  }
  BisslPluginStamp next = host_stamp();
  next.sdk_major = 3;
  next.sdk_minor = 0;
  EXPECT_THROW(check_stamp(stamp, next), Refusal);
}

TEST(PluginStamp, OfALaterMinorVersionIsRefused) {
  const std::string major = std::to_string(host_stamp().sdk_major);
  try {
    check_versions(10, 9);
    FAIL() << "was taken";
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.problem().found, "a library built with bissl sdk " + major + ".10");
    EXPECT_EQ(refusal.problem().expected,
              "one built with bissl sdk " + major + ".9 or a lower minor version");
    EXPECT_EQ(refusal.problem().advice,
              "build it again with this program's sdk headers (or load it with bissl " + major +
                  ".10 or newer)");
  }
}

TEST(PluginStamp, LongerStampIsRead) {
  // The struct only grows at its end.
  BisslPluginStamp stamp = host_stamp();
  stamp.struct_size += 64;
  EXPECT_NO_THROW(check_stamp(&stamp, host_stamp()));
}

TEST(PluginStamp, RecordedFieldsAreNotCompared) {
  BisslPluginStamp stamp = host_stamp();
  stamp.compiler = "other";
  stamp.compiler_version += 1;
  stamp.cxx_abi_version += 1;
  EXPECT_NO_THROW(check_stamp(&stamp, host_stamp()));
  const LibraryIdentity identity = identity_of(stamp, "x.so");
  EXPECT_EQ(identity.compiler, fmt::format("other {}", stamp.compiler_version));
  EXPECT_EQ(identity.cxx_abi_version, stamp.cxx_abi_version);
}

TEST(PluginStamp, Names) {
  EXPECT_TRUE(is_name("sim-clr2"));
  for (const char* name : {"", "Sim", "sim_clr", "sim clr", "sim/clr", "größe"}) {
    EXPECT_FALSE(is_name(name)) << name;
  }
}

}  // namespace
}  // namespace bissl::host::test
