#pragma once

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

namespace bissl::host {

/// JSON over HTTP, to one server.
class HttpClient {
 public:
  /// `url`: http://HOST[:PORT][/PATH] or https://…; what is asked for is below PATH. Throws
  /// Error(input) for anything else.
  explicit HttpClient(const std::string& url);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  struct Answer {
    int status = 0;
    nlohmann::json body;  ///< an object; another value is its "message"
  };
  /// Throw Error(run) where there is no answer, which names the server.
  Answer get(const std::string& path, const std::string& query);
  Answer post(const std::string& path, const nlohmann::json& body);

  const std::string& url() const { return url_; }

 private:
  class Impl;
  std::string url_;
  std::string base_;
  std::unique_ptr<Impl> impl_;
};

/// A text within a query: everything but letters, digits and "-._~" as %XX.
std::string url_encoded(const std::string& text);

}  // namespace bissl::host
