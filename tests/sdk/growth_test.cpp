// What plugins that are compiled against sdk 2.0 rest on must still be there: a minor version adds,
// and changes nothing (docs/plugin-boundary.md).

#include "support/paths.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

/// What a command prints.
std::string output_of(const std::string& command) {
  std::string text;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::array<char, 4096> part{};
  for (size_t n = 0; pipe != nullptr && (n = fread(part.data(), 1, part.size(), pipe.get())) > 0;) {
    text.append(part.data(), n);
  }
  return text;
}

std::string listing(const char* headers) {
  return output_of(fmt::format("'{}/tests/abi_listing_{}'", build_folder, headers));
}

/// The lines of a listing, "kind<tab>name<tab>value", by "kind name".
std::map<std::string, std::string> parsed(const std::string& listing) {
  std::map<std::string, std::string> values;
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find('\t');
    const size_t second = line.find('\t', first + 1);
    values[line.substr(0, first) + " " + line.substr(first + 1, second - first - 1)] =
        line.substr(second + 1);
  }
  return values;
}

/// What of the first listing is missing in the second or has become another.
std::vector<std::string> breaks(const std::string& before, const std::string& now) {
  std::vector<std::string> found;
  const auto today = parsed(now);
  for (const auto& [name, value] : parsed(before)) {
    const auto same = today.find(name);
    if (same == today.end()) {
      found.push_back(fmt::format("{}: {}, is gone", name, value));
    } else if (same->second != value) {
      found.push_back(fmt::format("{}: was {}, is {}", name, value, same->second));
    }
  }
  return found;
}

const std::string& frozen_folder() {
  static const std::string folder = std::string(source_folder) + "/tests/fixtures/sdk-2.0";
  return folder;
}

/// The headers of 2.0 by their names, but for the one that defines BISSL_API.
std::map<std::string, std::string> frozen_headers() {
  std::map<std::string, std::string> headers;
  for (const auto& entry :
       std::filesystem::directory_iterator(frozen_folder() + "/include/bissl")) {
    headers[entry.path().filename().string()] = read_file(entry.path());
  }
  headers.erase("export.h");
  return headers;
}

/// The names of the functions and classes that a header offers of the sdk's library.
std::vector<std::string> offered_by(const std::string& header) {
  const std::string mark = "BISSL_API ";
  std::vector<std::string> names;
  for (size_t at = header.find(mark); at != std::string::npos; at = header.find(mark, at + 1)) {
    const size_t begin = at + mark.size();
    std::string declared = header.substr(begin, header.find_first_of("({;", begin) - begin);
    declared = declared.substr(0, declared.find(" : "));  // without what a class derives from
    const size_t end = declared.find_last_not_of(" \n") + 1;
    const size_t start = declared.find_last_of(" \n&*>", end - 1) + 1;
    names.push_back(declared.substr(start, end - start));
  }
  return names;
}

/// Whether a name is a part of a mangled one: there its length stands before it.
bool has_name(const std::string& symbols, const std::string& name) {
  const std::string part = fmt::format("{}{}", name.size(), name);
  for (size_t at = symbols.find(part); at != std::string::npos; at = symbols.find(part, at + 1)) {
    if (at > 0 && std::isdigit(static_cast<unsigned char>(symbols[at - 1])) == 0) {
      return true;
    }
  }
  return false;
}

TEST(SdkGrowth, TheListOfFunctionsHasAllThatTheHeadersOf20Offer) {
  const std::string symbols = read_file(frozen_folder() + "/symbols.txt");
  const std::set<std::string> inline_alone = {"Finding"};
  size_t count = 0;
  for (const auto& [name, header] : frozen_headers()) {
    for (const std::string& offered : offered_by(header)) {
      EXPECT_TRUE(inline_alone.count(offered) != 0 || has_name(symbols, offered))
          << name << " declares " << offered << ", which symbols.txt does not have";
      ++count;
    }
  }
  EXPECT_GT(count, 90U);
}

TEST(SdkGrowth, TheListingIncludesTheHeadersOf20) {
  const std::string listing = read_file(std::string(source_folder) + "/tests/sdk/abi_listing.cpp");
  for (const auto& [name, header] : frozen_headers()) {
    if (name != "modules.h") {
      EXPECT_NE(listing.find("#include \"bissl/" + name + "\"\n"), std::string::npos) << name;
    }
  }
}

TEST(SdkGrowth, NamesOfDeclarationsAreFound) {
  EXPECT_EQ(
      offered_by("BISSL_API std::vector<int> faults(\n    int);\nclass BISSL_API Error : public "
                 "std::runtime_error {\nBISSL_API const Schema<A>& schema();\n"),
      (std::vector<std::string>{"faults", "Error", "schema"}));
  EXPECT_TRUE(has_name("_ZN5bissl3dotE", "dot"));
  EXPECT_FALSE(has_name("_ZN5bissl13dotproductxyzE", "dot"));
}

TEST(SdkGrowth, TodaysHeadersKeepWhatPluginsOf20RestOn) {
  const std::string before = listing("2_0");
  EXPECT_GT(parsed(before).size(), 250U) << before;
  for (const std::string& change : breaks(before, listing("now"))) {
    ADD_FAILURE() << change
                  << "\nPlugins that were built with sdk 2.0 would break: add something new in "
                     "its place (docs/plugin-boundary.md)";
  }
}

TEST(SdkGrowth, TheLibraryKeepsTheFunctionsOf20) {
  const std::string defined =
      output_of(fmt::format("nm -D --defined-only '{}/lib/libbissl_sdk.so'", build_folder));
  std::set<std::string> symbols;
  std::istringstream lines(defined);
  for (std::string address, kind, name; lines >> address >> kind >> name;) {
    symbols.insert(name);
  }
  std::istringstream list(read_file(frozen_folder() + "/symbols.txt"));
  int count = 0;
  for (std::string name; std::getline(list, name); ++count) {
    EXPECT_EQ(symbols.count(name), 1U)
        << output_of("c++filt " + name) << "is no longer in the sdk's library";
  }
  EXPECT_GT(count, 100);
}

TEST(SdkGrowth, AComparisonFindsWhatBreaks) {
  const std::string before =
      "virtual function\tPretext::loss\t7, at::Tensor\nsize of\tTarget\t64, alignment 8\n";
  EXPECT_TRUE(breaks(before, before + "size of\tBoxes\t8, alignment 8\n").empty());
  EXPECT_EQ(breaks(before,
                   "virtual function\tPretext::loss\t8, at::Tensor\nsize of\tTarget\t72, "
                   "alignment 8\n"),
            (std::vector<std::string>{
                "size of Target: was 64, alignment 8, is 72, alignment 8",
                "virtual function Pretext::loss: was 7, at::Tensor, is 8, at::Tensor"}));
  EXPECT_EQ(breaks(before, "size of\tTarget\t64, alignment 8\n"),
            (std::vector<std::string>{"virtual function Pretext::loss: 7, at::Tensor, is gone"}));
}

}  // namespace
}  // namespace bissl::host::test
