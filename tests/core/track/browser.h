#pragma once

#include <sys/types.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host::test {

/// Headless Chromium, which does what a person does: by DevTools' protocol, whose messages go
/// through two pipes (--remote-debugging-pipe). Every function throws std::runtime_error where
/// Chromium refuses, ends, or says nothing for half a minute.
class Browser {
 public:
  static bool is_installed();

  /// Starts it with a profile in this folder, which must outlive it.
  explicit Browser(const std::filesystem::path& folder);
  ~Browser();
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;

  /// Calls a method and returns its result. `session`: that of a tab, or none for the browser.
  nlohmann::json call(const std::string& method, const nlohmann::json& params,
                      const std::string& session = "");
  /// What it has said by itself so far, messages with their "method" and "params".
  const std::vector<nlohmann::json>& events() const { return events_; }

 private:
  nlohmann::json next_message();

  int commands_ = -1;
  int answers_ = -1;
  pid_t process_ = -1;
  int last_id_ = 0;
  std::string received_;
  std::vector<nlohmann::json> events_;
};

/// A page that is open in the browser.
class Tab {
 public:
  Tab(Browser& browser, const std::string& address);
  ~Tab();
  Tab(const Tab&) = delete;
  Tab& operator=(const Tab&) = delete;

  /// The value of an expression of the page's language. Of a promise, what it is fulfilled with.
  nlohmann::json evaluate(const std::string& expression);
  /// Evaluates the expression until it has this value or ten seconds have passed; its last value.
  nlohmann::json settled(const std::string& expression, const nlohmann::json& expected);
  /// Moves the pointer onto the element that the expression gives, and presses the left button.
  void click(const std::string& element);
  /// Presses the space bar.
  void press_space();
  /// Shows the page as on a medium ("screen", "print") to a person who wants it "light" or "dark".
  void show_as(const std::string& medium, const std::string& scheme);
  void write_screenshot(const std::filesystem::path& file);
  /// Errors of scripts that nothing in the page has caught.
  std::vector<std::string> faults();

 private:
  Browser& browser_;
  std::string target_;
  std::string session_;
};

}  // namespace bissl::host::test
