#include "browser.h"

#include "support/temporary_folder.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace bissl::host::test {
namespace {

using BrowserClock = std::chrono::steady_clock;
constexpr std::chrono::seconds most_silent{30};

struct Ends {
  int reading = -1;
  int writing = -1;
};

Ends made_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("there is no pipe for Chromium");
  }
  return {ends[0], ends[1]};
}

/// Starts the program with these two as its descriptors 3 and 4.
pid_t started(std::vector<std::string> words, int third, int fourth) {
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setpgid(0, 0);
    // Either may be 3 or 4 itself.
    const int in = ::fcntl(third, F_DUPFD_CLOEXEC, 10);
    const int out = ::fcntl(fourth, F_DUPFD_CLOEXEC, 10);
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
    ::dup2(in, 3);
    ::dup2(out, 4);
    ::execvp(pointers[0], pointers.data());
    ::_exit(127);
  }
  if (child < 0) {
    throw std::runtime_error("Chromium cannot be started");
  }
  return child;
}

std::string base64_bytes(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t value = 0;
  int bits = 0;
  for (const char c : text) {
    const size_t digit = digits.find(c);
    if (digit == std::string::npos) {
      break;  // the padding
    }
    value = ((value << 6U) | static_cast<uint32_t>(digit)) & 0xFFFFFFU;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>((value >> static_cast<uint32_t>(bits)) & 0xFFU);
    }
  }
  return bytes;
}

}  // namespace

bool Browser::is_installed() { return std::system("command -v chromium >/dev/null") == 0; }

Browser::Browser(const std::filesystem::path& folder) {
  std::signal(SIGPIPE, SIG_IGN);  // it may end at any time
  const Ends to = made_pipe();
  const Ends from = made_pipe();
  process_ = started({"chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
                      "--no-first-run", "--remote-debugging-pipe", "--window-size=1200,900",
                      "--user-data-dir=" + (folder / "profile").string(), "about:blank"},
                     to.reading, from.writing);
  ::close(to.reading);
  ::close(from.writing);
  commands_ = to.writing;
  answers_ = from.reading;
}

Browser::~Browser() {
  try {
    call("Browser.close", nlohmann::json::object());
  } catch (const std::exception&) {
    ::kill(-process_, SIGKILL);
  }
  ::close(commands_);
  ::close(answers_);
  const auto end = BrowserClock::now() + std::chrono::seconds(10);
  int status = 0;
  while (::waitpid(process_, &status, WNOHANG) == 0) {
    if (BrowserClock::now() > end) {
      ::kill(-process_, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

nlohmann::json Browser::next_message() {
  const auto end = BrowserClock::now() + most_silent;
  size_t length = 0;
  while ((length = received_.find('\0')) == std::string::npos) {
    pollfd waiting{answers_, POLLIN, 0};
    ::poll(&waiting, 1, 100);
    std::array<char, 65536> buffer{};
    const ssize_t count =
        waiting.revents == 0 ? -1 : ::read(answers_, buffer.data(), buffer.size());
    if (count > 0) {
      received_.append(buffer.data(), static_cast<size_t>(count));
    } else if (count == 0 || BrowserClock::now() > end) {
      throw std::runtime_error(count == 0 ? "Chromium has ended" : "Chromium does not answer");
    }
  }
  nlohmann::json message = nlohmann::json::parse(received_.substr(0, length));
  received_.erase(0, length + 1);
  return message;
}

nlohmann::json Browser::call(const std::string& method, const nlohmann::json& params,
                             const std::string& session) {
  nlohmann::json command = {{"id", ++last_id_}, {"method", method}, {"params", params}};
  if (!session.empty()) {
    command["sessionId"] = session;
  }
  const std::string text = command.dump() + '\0';
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t count = ::write(commands_, text.data() + sent, text.size() - sent);
    if (count <= 0) {
      throw std::runtime_error("Chromium takes no command");
    }
    sent += static_cast<size_t>(count);
  }
  for (;;) {
    nlohmann::json message = next_message();
    if (message.value("id", 0) == last_id_) {
      if (message.contains("error")) {
        throw std::runtime_error(method + ": " + message.at("error").dump());
      }
      return message.value("result", nlohmann::json::object());
    }
    events_.push_back(std::move(message));
  }
}

Tab::Tab(Browser& browser, const std::string& address) : browser_(browser) {
  target_ = browser_.call("Target.createTarget", {{"url", "about:blank"}})
                .at("targetId")
                .get<std::string>();
  session_ = browser_.call("Target.attachToTarget", {{"targetId", target_}, {"flatten", true}})
                 .at("sessionId")
                 .get<std::string>();
  browser_.call("Runtime.enable", nlohmann::json::object(), session_);
  // Keys go to the page that has the focus.
  browser_.call("Page.bringToFront", nlohmann::json::object(), session_);
  browser_.call("Emulation.setFocusEmulationEnabled", {{"enabled", true}}, session_);
  browser_.call("Page.navigate", {{"url", address}}, session_);
}

Tab::~Tab() {
  try {
    browser_.call("Target.closeTarget", {{"targetId", target_}});
  } catch (const std::exception&) {
    return;  // whoever uses the browser next hears of it
  }
}

nlohmann::json Tab::evaluate(const std::string& expression) {
  const nlohmann::json answer = browser_.call(
      "Runtime.evaluate",
      {{"expression", expression}, {"awaitPromise", true}, {"returnByValue", true}}, session_);
  if (answer.contains("exceptionDetails")) {
    throw std::runtime_error(expression + ": " + answer.at("exceptionDetails").dump());
  }
  return answer.at("result").value("value", nlohmann::json());
}

nlohmann::json Tab::settled(const std::string& expression, const nlohmann::json& expected) {
  const auto end = BrowserClock::now() + std::chrono::seconds(10);
  nlohmann::json value = evaluate(expression);
  while (value != expected && BrowserClock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    value = evaluate(expression);
  }
  return value;
}

void Tab::click(const std::string& element) {
  const nlohmann::json place =
      evaluate("(()=>{const e=" + element +
               ";e.scrollIntoView({block:'nearest'});const b=e.getBoundingClientRect();"
               "return {x:b.x+b.width/2,y:b.y+b.height/2}})()");
  nlohmann::json event = {{"type", "mouseMoved"}, {"x", place.at("x")}, {"y", place.at("y")}};
  browser_.call("Input.dispatchMouseEvent", event, session_);
  event["button"] = "left";
  event["clickCount"] = 1;
  for (const char* type : {"mousePressed", "mouseReleased"}) {
    event["type"] = type;
    browser_.call("Input.dispatchMouseEvent", event, session_);
  }
}

void Tab::press_space() {
  nlohmann::json event = {{"key", " "}, {"code", "Space"}, {"windowsVirtualKeyCode", 32}};
  event["type"] = "keyDown";
  event["text"] = " ";
  browser_.call("Input.dispatchKeyEvent", event, session_);
  event["type"] = "keyUp";
  event.erase("text");
  browser_.call("Input.dispatchKeyEvent", event, session_);
}

void Tab::show_as(const std::string& medium, const std::string& scheme) {
  const nlohmann::json wish = {{"name", "prefers-color-scheme"}, {"value", scheme}};
  browser_.call("Emulation.setEmulatedMedia",
                {{"media", medium}, {"features", nlohmann::json::array({wish})}}, session_);
}

void Tab::write_screenshot(const std::filesystem::path& file) {
  const nlohmann::json answer =
      browser_.call("Page.captureScreenshot", {{"format", "png"}}, session_);
  write_file(file, base64_bytes(answer.at("data").get<std::string>()));
}

std::vector<std::string> Tab::faults() {
  std::vector<std::string> found;
  for (const nlohmann::json& event : browser_.events()) {
    if (event.value("method", "") == "Runtime.exceptionThrown" &&
        event.value("sessionId", "") == session_) {
      found.push_back(event.at("params").dump());
    }
  }
  return found;
}

}  // namespace bissl::host::test
