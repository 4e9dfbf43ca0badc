#pragma once

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

namespace bissl::host {

/// JSON over HTTP, to one server.
class HttpClient {
 public:
  /// `url`: http://HOST[:PORT][/PATH] or https://…; what is asked for is below PATH. A server that
  /// says nothing for `patience` seconds (1 or more) does not answer. Throws Error(input) for
  /// anything else than such a URL.
  explicit HttpClient(const std::string& url, int patience = 60);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  struct Answer {
    int status = 0;
    nlohmann::json body;   ///< an object; another value, or a text, is its "message"
    bool is_json = false;  ///< whether an object came
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
