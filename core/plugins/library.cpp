#include "plugins/library.h"

#include "plugins/refusal.h"

// std::filesystem and std::error_code instead of Boost's: nothing of Boost is linked.
#define BOOST_DLL_USE_STD_FS
#include <fmt/format.h>
#include <boost/dll/shared_library.hpp>

#include <string>
#include <utility>
#include <vector>

namespace bissl {
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

std::string open_advice(const std::string& text) {
  if (text.find("undefined symbol") != std::string::npos) {
    return "link the library that defines the symbol (bissl_add_plugin finds such gaps when it "
           "links), and build it with the sdk and LibTorch of this program";
  }
  if (text.find("cannot open shared object file") != std::string::npos) {
    return "install the library that it needs, or add that library's folder to LD_LIBRARY_PATH or "
           "to the plugin's run path; \"ldd\" lists what it needs";
  }
  return "build it again on this system with bissl_add_plugin";
}

[[noreturn]] void refuse_to_open(const std::string& text) {
  throw Refusal({"", "open", "open_failed", fmt::format("\"{}\"", text),
                 "a library that the system's loader takes, with all symbols bound",
                 open_advice(text)});
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
  boost::dll::shared_library library;
  try {
    library.load(canonical, boost::dll::load_mode::rtld_now);
  } catch (const boost::dll::fs::system_error& error) {
    refuse_to_open(loader_text(error.what()));
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

}  // namespace bissl
