#include "plugins/stamp.h"

#include "plugins/refusal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

/// One refusal for all fields that differ.
class Differences {
 public:
  void add(std::string found, std::string expected, std::string advice) {
    found_.push_back(std::move(found));
    expected_.push_back(std::move(expected));
    advice_.push_back(std::move(advice));
  }

  void refuse_if_any() const {
    if (!found_.empty()) {
      throw Refusal({"", "stamp", "mismatch",
                     fmt::format("a library built with {}", fmt::join(found_, ", ")),
                     fmt::format("one built with {}", fmt::join(expected_, ", ")),
                     fmt::format("build it again {}", fmt::join(advice_, ", "))});
    }
  }

 private:
  std::vector<std::string> found_;
  std::vector<std::string> expected_;
  std::vector<std::string> advice_;
};

[[noreturn]] void refuse_stamp(std::string found, std::string expected) {
  throw Refusal({"", "stamp", "stamp", std::move(found), std::move(expected),
                 "let the macro BISSL_PLUGIN make the stamp and build the library again"});
}

/// The stamp of the first minor version. Fields that were added behind it are in a library's stamp
/// only where its struct_size reaches them.
constexpr size_t first_stamp_size =
    offsetof(BisslPluginStamp, register_components) + sizeof(BisslPluginStamp::register_components);

struct Flag {
  uint32_t bit;
  const char* name;
  const char* with;
  const char* without;
};
constexpr Flag flags[] = {
    {BISSL_BUILD_DEBUG_STDLIB, "the debug standard library", "with -D_GLIBCXX_DEBUG",
     "without -D_GLIBCXX_DEBUG"},
    {BISSL_BUILD_ADDRESS_SANITIZER, "the address sanitizer", "with -fsanitize=address",
     "without -fsanitize=address"},
    {BISSL_BUILD_THREAD_SANITIZER, "the thread sanitizer", "with -fsanitize=thread",
     "without -fsanitize=thread"},
};

void compare_flags(uint32_t found, uint32_t expected, Differences& differences) {
  for (const Flag& flag : flags) {
    const bool has = (found & flag.bit) != 0;
    const bool should = (expected & flag.bit) != 0;
    if (has != should) {
      differences.add(fmt::format("{}{}", has ? "" : "no use of ", flag.name),
                      fmt::format("{}{}", should ? "" : "no use of ", flag.name),
                      should ? flag.with : flag.without);
    }
    found &= ~flag.bit;
    expected &= ~flag.bit;
  }
  if (found != expected) {
    differences.add(
        fmt::format("unknown build flags {:#x}", found),
        expected == 0 ? std::string("no others") : fmt::format("build flags {:#x}", expected),
        "with the flags of this program");
  }
}

std::string abi_words(uint32_t cxx11_abi) {
  return fmt::format("the {} C++ ABI (_GLIBCXX_USE_CXX11_ABI={})", cxx11_abi == 0 ? "old" : "C++11",
                     cxx11_abi);
}

void compare(const BisslPluginStamp& stamp, const BisslPluginStamp& host) {
  Differences differences;
  const auto version = [](const char* what, uint32_t major, uint32_t minor) {
    return fmt::format("{} {}.{}", what, major, minor);
  };
  if (stamp.sdk_major != host.sdk_major) {
    differences.add(
        version("bissl sdk", stamp.sdk_major, stamp.sdk_minor),
        version("bissl sdk", host.sdk_major, host.sdk_minor),
        "with this program's sdk headers" + porting_advice(stamp.sdk_major, host.sdk_major));
  } else if (stamp.sdk_minor > host.sdk_minor) {
    differences.add(version("bissl sdk", stamp.sdk_major, stamp.sdk_minor),
                    fmt::format("{} or a lower minor version",
                                version("bissl sdk", host.sdk_major, host.sdk_minor)),
                    fmt::format("with this program's sdk headers (or load it with {} or newer)",
                                version("bissl", stamp.sdk_major, stamp.sdk_minor)));
  }
  if (stamp.torch_major != host.torch_major || stamp.torch_minor != host.torch_minor) {
    differences.add(version("LibTorch", stamp.torch_major, stamp.torch_minor),
                    version("LibTorch", host.torch_major, host.torch_minor),
                    version("with LibTorch", host.torch_major, host.torch_minor));
  }
  if (stamp.cxx11_abi != host.cxx11_abi) {
    differences.add(abi_words(stamp.cxx11_abi), abi_words(host.cxx11_abi),
                    fmt::format("with -D_GLIBCXX_USE_CXX11_ABI={}", host.cxx11_abi));
  }
  if (std::string_view(stamp.stdlib) != host.stdlib) {
    differences.add(stamp.stdlib, host.stdlib, fmt::format("with {}", host.stdlib));
  }
  compare_flags(stamp.build_flags, host.build_flags, differences);
  differences.refuse_if_any();
}

int register_nothing(void* /*registrar*/, char* /*error*/, uint64_t /*error_size*/) { return 0; }

}  // namespace

const BisslPluginStamp& host_stamp() {
  static const BisslPluginStamp stamp = BISSL_STAMP("bissl", "", "", register_nothing);
  return stamp;
}

void check_stamp(const BisslPluginStamp* stamp, const BisslPluginStamp& host) {
  // Only these two fields are sure to be there; read nothing else until they are known to be right.
  if (stamp->magic != BISSL_STAMP_MAGIC) {
    refuse_stamp(fmt::format("the magic number {:#010x}", stamp->magic),
                 fmt::format("the magic number {:#010x} of bissl's stamp", BISSL_STAMP_MAGIC));
  }
  if (stamp->struct_size < first_stamp_size) {
    refuse_stamp(fmt::format("a stamp of {} bytes", stamp->struct_size),
                 fmt::format("one of at least {} bytes", first_stamp_size));
  }
  std::vector<std::string> missing;
  for (const auto& [name, text] :
       {std::pair{"compiler", stamp->compiler}, std::pair{"stdlib", stamp->stdlib},
        std::pair{"name", stamp->name}, std::pair{"version", stamp->version},
        std::pair{"license", stamp->license}}) {
    if (text == nullptr) {
      missing.emplace_back(name);
    }
  }
  if (stamp->register_components == nullptr) {
    missing.emplace_back("register_components");
  }
  if (!missing.empty()) {
    refuse_stamp(fmt::format("a stamp whose {} is null", fmt::join(missing, ", ")),
                 "one in which no pointer is null");
  }
  compare(*stamp, host);
  if (!is_name(stamp->name)) {
    throw Refusal({"", "stamp", "bad_name", fmt::format("the plugin name \"{}\"", stamp->name),
                   "a name of lower-case letters, digits and hyphens",
                   "correct the first argument of BISSL_PLUGIN"});
  }
}

std::string porting_advice(uint32_t sdk_major, uint32_t host_major) {
  if (sdk_major >= host_major) {
    return "";
  }
  return fmt::format(
      " after porting its source: the interfaces of all kinds of component changed with sdk {}.0, "
      "and docs/upgrade.md (share/doc/bissl/docs/upgrade.md of an installation) says how",
      host_major);
}

LibraryIdentity identity_of(const BisslPluginStamp& stamp, const std::string& path) {
  return {path,
          stamp.name,
          stamp.version,
          stamp.license,
          fmt::format("{} {}", stamp.compiler, stamp.compiler_version),
          stamp.cxx_abi_version};
}

bool is_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace bissl::host
