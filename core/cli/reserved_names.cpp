#include "cli/reserved_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

constexpr size_t longest_name = 64;

/// Targets that CMake, or one of its generators, makes itself; a project may not have them.
const std::set<std::string> cmake_targets = {"all",
                                             "all_build",
                                             "clean",
                                             "codegen",
                                             "continuous",
                                             "depend",
                                             "edit_cache",
                                             "experimental",
                                             "help",
                                             "install",
                                             "list_install_components",
                                             "nightly",
                                             "package",
                                             "package_source",
                                             "preinstall",
                                             "rebuild_cache",
                                             "run_tests",
                                             "test",
                                             "zero_check"};

/// Targets that the packages which a plugin's project finds bring with them.
const std::set<std::string> imported_targets = {"c10",  "caffe2",   "fmt",  "gflags",
                                                "glog", "protobuf", "torch"};

const std::set<std::string> cpp_words = {"alignas",
                                         "alignof",
                                         "and",
                                         "and_eq",
                                         "asm",
                                         "auto",
                                         "bitand",
                                         "bitor",
                                         "bool",
                                         "break",
                                         "case",
                                         "catch",
                                         "char",
                                         "char16_t",
                                         "char32_t",
                                         "char8_t",
                                         "class",
                                         "co_await",
                                         "co_return",
                                         "co_yield",
                                         "compl",
                                         "concept",
                                         "const",
                                         "const_cast",
                                         "consteval",
                                         "constexpr",
                                         "constinit",
                                         "continue",
                                         "decltype",
                                         "default",
                                         "delete",
                                         "do",
                                         "double",
                                         "dynamic_cast",
                                         "else",
                                         "enum",
                                         "explicit",
                                         "export",
                                         "extern",
                                         "false",
                                         "float",
                                         "for",
                                         "friend",
                                         "goto",
                                         "if",
                                         "inline",
                                         "int",
                                         "long",
                                         "main",
                                         "mutable",
                                         "namespace",
                                         "new",
                                         "noexcept",
                                         "not",
                                         "not_eq",
                                         "nullptr",
                                         "operator",
                                         "or",
                                         "or_eq",
                                         "posix",
                                         "private",
                                         "protected",
                                         "public",
                                         "register",
                                         "reinterpret_cast",
                                         "requires",
                                         "return",
                                         "short",
                                         "signed",
                                         "sizeof",
                                         "static",
                                         "static_assert",
                                         "static_cast",
                                         "std",
                                         "struct",
                                         "switch",
                                         "template",
                                         "this",
                                         "thread_local",
                                         "throw",
                                         "true",
                                         "try",
                                         "typedef",
                                         "typeid",
                                         "typename",
                                         "union",
                                         "unsigned",
                                         "using",
                                         "virtual",
                                         "void",
                                         "volatile",
                                         "wchar_t",
                                         "while",
                                         "xor",
                                         "xor_eq"};

}  // namespace

std::string why_reserved(const std::string& name) {
  std::string word = name;
  std::replace(word.begin(), word.end(), '-', '_');
  if (name.front() == '-' || name.back() == '-') {
    return "begins or ends with a hyphen, as no option, file or C++ name should";
  }
  if (name.find("--") != std::string::npos) {
    return "has two hyphens in a row, and C++ reserves names with two underscores";
  }
  if (name.size() > longest_name) {
    return fmt::format("has {} characters, and names of files are made of it: at most {} can be",
                       name.size(), longest_name);
  }
  if (cmake_targets.count(word) != 0) {
    return "is the name of a target that CMake keeps for itself";
  }
  if (imported_targets.count(word) != 0) {
    return "is the name of a target of a library that the plugin's project uses";
  }
  if (cpp_words.count(word) != 0) {
    return "is a word that C++ reserves";
  }
  return word == "bissl" ? "is the program's own name" : "";
}

}  // namespace bissl::host
