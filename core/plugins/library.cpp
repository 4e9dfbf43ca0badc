#include "plugins/library.h"

#include "plugins/elf.h"
#include "plugins/refusal.h"
#include "plugins/stamp.h"

// std::filesystem and std::error_code instead of Boost's: nothing of Boost is linked.
#define BOOST_DLL_USE_STD_FS
#include <cxxabi.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <boost/dll/shared_library.hpp>

#include <cstdlib>
#include <memory>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

/// Libraries for the life of the process; never destroyed, so that nothing is unloaded at exit
/// either.
std::vector<boost::dll::shared_library>& held_libraries() {
  static auto* const libraries = new std::vector<boost::dll::shared_library>;
  return *libraries;
}

/// The loader's own words out of Boost's "… failed (dlerror system message: TEXT): Bad file
/// descriptor"; the whole text if it has another form.
std::string loader_text(const std::string& text) {
  const std::string before = "dlerror system message: ";
  const size_t begin = text.find(before);
  const size_t end = text.rfind("): ");
  if (begin == std::string::npos || end == std::string::npos || end < begin + before.size()) {
    return text;
  }
  return text.substr(begin + before.size(), end - begin - before.size());
}

/// The file that the loader's text is about: the library itself, or one that it needs.
std::filesystem::path subject_of(const std::string& text, const std::filesystem::path& library) {
  const size_t end = text.find(": ");
  return end != std::string::npos && text[0] == '/' ? std::filesystem::path(text.substr(0, end))
                                                    : library;
}

bool is_mounted_noexec(const std::filesystem::path& file) {
  struct statvfs system {};
  return statvfs(file.c_str(), &system) == 0 && (system.f_flag & ST_NOEXEC) != 0;
}

/// The symbol that the loader misses, as C++ spells it; empty where its text is about something
/// else.
std::string missing_symbol_in(const std::string& text) {
  static const std::regex symbol("undefined symbol: (\\w+)");
  std::smatch found;
  if (!std::regex_search(text, found, symbol)) {
    return "";
  }
  const std::string name = found[1].str();
  if (name.rfind("_Z", 0) != 0) {
    return name;
  }
  const std::unique_ptr<char, void (*)(void*)> spelled(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, nullptr), &std::free);
  return spelled ? std::string(spelled.get()) : name;
}

/// For a symbol that is missing since the library was built in another way than the program; empty
/// where nothing tells so. The stamp, which says it, cannot be read of a library that is not open.
std::string advice_for_other_build(const std::string& symbol) {
  const auto says = [&](const char* words) { return symbol.find(words) != std::string::npos; };
  const bool new_text = says("std::__cxx11::");
  const bool old_text = !new_text && (says("std::string") || says("std::basic_string<char"));
  const uint32_t own = host_stamp().cxx11_abi;
  if (own != 0 ? old_text : new_text) {
    return fmt::format(
        "it uses texts of the {} C++ ABI (_GLIBCXX_USE_CXX11_ABI={}), this program those of the "
        "{}: build it again with -D_GLIBCXX_USE_CXX11_ABI={}, and with this program's LibTorch",
        own != 0 ? "old" : "C++11", 1 - own, own != 0 ? "C++11 ABI" : "old one", own);
  }
  static const std::regex of_sanitizer("^__(asan|hwasan|msan|tsan|ubsan)_");
  if (std::regex_search(symbol, of_sanitizer)) {
    return "it was built with a sanitizer that this program does not have: build it again without "
           "-fsanitize";
  }
  return "";
}

std::string open_advice(const std::string& text, const std::filesystem::path& library) {
  const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  const std::filesystem::path subject = subject_of(text, library);
  if (is_mounted_noexec(subject)) {
    return fmt::format(
        "{} lies on a file system that is mounted noexec, from which nothing can be "
        "executed: copy the library to another file system, or mount this one "
        "without noexec",
        subject.string());
  }
  if (says("cannot allocate memory in static TLS block")) {
    return "give more room for thread-local variables: set the environment variable "
           "GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096";
  }
  if (says("Cannot allocate memory")) {
    return "free memory, or raise the limit of address space (ulimit -v)";
  }
  if (says("Too many open files")) {
    return "raise the limit of open files (ulimit -n)";
  }
  if (says("executable stack")) {
    return "link it with -Wl,-z,noexecstack";
  }
  if (says("' not found (required by")) {
    return "a newer system library than this system's is needed: build what needs it on this "
           "system, or install the newer one";
  }
  if (subject != library &&
      (says("invalid ELF header") || says("file too short") || says("wrong ELF class"))) {
    return fmt::format("{}, which it needs, is damaged or for another machine: install it anew",
                       subject.string());
  }
  if (says("Permission denied") || says("Operation not permitted")) {
    return fmt::format(
        "let this user read and execute {}; a security policy (SELinux, AppArmor) "
        "may forbid it as well",
        subject.string());
  }
  if (std::string advice = advice_for_other_build(missing_symbol_in(text)); !advice.empty()) {
    return advice;
  }
  static const std::regex of_sdk("undefined symbol: _ZNK?5bissl");
  if (std::regex_search(text, of_sdk)) {
    return fmt::format(
        "this program's sdk, {}.{}, does not have what it uses: load it with a newer bissl, or "
        "build it again with this program's sdk headers",
        BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR);
  }
  if (text.find("undefined symbol") != std::string::npos) {
    return "link the library that defines the symbol (bissl_add_plugin finds such gaps when it "
           "links), and build it with the sdk and LibTorch of this program";
  }
  // Up to 1.2 the library's name had the minor number as well.
  static const std::regex sdk("libbissl_sdk\\.so\\.([0-9]{1,4})((?:\\.[0-9]{1,4})?): cannot open");
  if (std::smatch version; std::regex_search(text, version, sdk)) {
    return fmt::format(
        "it was built with bissl sdk {}{}, this program has {}.{}: build it again with this "
        "program's sdk headers{}",
        version[1].str(), version[2].str(), BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR,
        porting_advice(static_cast<uint32_t>(std::stoul(version[1])), BISSL_SDK_VERSION_MAJOR));
  }
  if (text.find("cannot open shared object file") != std::string::npos) {
    return "install the library that it needs, or add that library's folder to LD_LIBRARY_PATH or "
           "to the plugin's run path; \"ldd\" lists what it needs";
  }
  return "the loader's words name the cause; LD_DEBUG=all in the environment makes it print each "
         "step";
}

[[noreturn]] void refuse_to_open(const std::string& text, const std::filesystem::path& library) {
  throw Refusal({"", "open", "open_failed", fmt::format("\"{}\"", text),
                 "a library that the system's loader takes, with all symbols bound",
                 open_advice(text, library)});
}

bool is_in_process(const std::string& library) {
  void* const handle = dlopen(library.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (handle != nullptr) {
    dlclose(handle);
  }
  return handle != nullptr;
}

/// The loader would take a LibTorch of another file name into the process beside the program's own.
/// The second registers operators that are there, which ends the process, or has types and settings
/// of its own.
void check_torch(const std::filesystem::path& canonical) {
  for (const std::string& needed : needed_libraries(canonical)) {
    const bool of_torch =
        needed.rfind("libc10.so", 0) == 0 || needed.rfind("libtorch_cpu.so", 0) == 0;
    if (of_torch && !is_in_process(needed)) {
      const BisslPluginStamp& host = host_stamp();
      throw Refusal(
          {"", "open", "mismatch", fmt::format("a library linked with {}", needed),
           fmt::format("one linked with this program's LibTorch {}.{}, whose files are called "
                       "otherwise",
                       host.torch_major, host.torch_minor),
           "build it again with that LibTorch: let CMAKE_PREFIX_PATH lead to it, and to no other"});
    }
  }
}

[[noreturn]] void refuse_without_entry(std::string found) {
  throw Refusal({"", "entry", "no_entry", std::move(found),
                 "the symbol " BISSL_ENTRY_SYMBOL ", which the macro BISSL_PLUGIN defines",
                 "if it is meant to be a plugin, put BISSL_PLUGIN into one of its sources; "
                 "otherwise take it out of the folder"});
}

/// The loader also looks for the symbol in the libraries that this one needs: a library that links
/// a plugin must not be taken for that plugin.
void check_origin(BisslEntryFunction entry, const std::filesystem::path& canonical) {
  Dl_info place{};
  std::error_code error;
  if (dladdr(reinterpret_cast<const void*>(entry), &place) != 0 &&
      !std::filesystem::equivalent(place.dli_fname, canonical, error) && !error) {
    refuse_without_entry(fmt::format("the symbol " BISSL_ENTRY_SYMBOL " only in {}, which it needs",
                                     place.dli_fname));
  }
}

}  // namespace

BisslEntryFunction open_library(const std::filesystem::path& canonical) {
  check_torch(canonical);
  boost::dll::shared_library library;
  try {
    library.load(canonical, boost::dll::load_mode::rtld_now);
  } catch (const boost::dll::fs::system_error& error) {
    refuse_to_open(loader_text(error.what()), canonical);
  }
  auto& held = held_libraries();
  held.push_back(std::move(library));
  if (!held.back().has(BISSL_ENTRY_SYMBOL)) {
    refuse_without_entry("no symbol " BISSL_ENTRY_SYMBOL);
  }
  // get<> of a function's type gives a reference to the function.
  const BisslEntryFunction entry = &held.back().get<const BisslPluginStamp*()>(BISSL_ENTRY_SYMBOL);
  check_origin(entry, canonical);
  return entry;
}

}  // namespace bissl::host
