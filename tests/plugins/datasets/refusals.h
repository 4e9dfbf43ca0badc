#pragma once

#include "bissl/error.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>

namespace bissl::host::test {

/// The text with "DIR" in the place of the folder, wherever it has that.
inline std::string without_folder(std::string text, const std::filesystem::path& folder) {
  const std::string name = folder.string();
  for (size_t at = 0; (at = text.find(name, at)) != std::string::npos;) {
    text.replace(at, name.size(), "DIR");
  }
  return text;
}

/// The text of the Error of kind input that `call` throws, with "DIR" in the place of the folder;
/// "no error" where it throws none.
template <class Call>
std::string refusal_in(const std::filesystem::path& folder, Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return without_folder(error.what(), folder);
  }
  return "no error";
}

inline void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text << "\nhas no: " << part;
}

}  // namespace bissl::host::test
