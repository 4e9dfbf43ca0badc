#include "track/http_client.h"

#include "base/json_text.h"
#include "bissl/error.h"

#include <httplib.h>

#include <cstdlib>
#include <regex>

namespace bissl::host {
namespace {

constexpr int connect_seconds = 10;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

class HttpClient::Impl {
 public:
  explicit Impl(const std::string& server) : client(server) {}
  httplib::Client client;
};

HttpClient::HttpClient(const std::string& url, int patience) : url_(url) {
  static const std::regex form(
      R"((https?://(?:\[[0-9a-fA-F:]+\]|[^/?#@\[\]:\s]+)(?::\d{1,5})?)(/[^?#\s]*)?)");
  std::smatch parts;
  if (!std::regex_match(url, parts, form)) {
    fail_input("{}: expected http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]", url);
  }
  base_ = parts[2].str();
  while (!base_.empty() && base_.back() == '/') {
    base_.pop_back();
  }
  impl_ = std::make_unique<Impl>(parts[1].str());
  httplib::Client& client = impl_->client;
  if (!client.is_valid()) {
    fail_input("{}: this server cannot be asked", url);
  }
  client.set_connection_timeout(connect_seconds);
  client.set_read_timeout(patience);
  client.set_write_timeout(patience);
  client.set_keep_alive(true);
  // The variables of MLflow's own clients.
  if (const std::string token = variable("MLFLOW_TRACKING_TOKEN"); !token.empty()) {
    client.set_bearer_token_auth(token);
  } else if (const std::string user = variable("MLFLOW_TRACKING_USERNAME"); !user.empty()) {
    client.set_basic_auth(user, variable("MLFLOW_TRACKING_PASSWORD"));
  }
}

HttpClient::~HttpClient() = default;

namespace {

HttpClient::Answer answer_of(const httplib::Result& result, const std::string& url) {
  if (!result) {
    fail_run("{} does not answer ({}); is the server running?", url,
             httplib::to_string(result.error()));
  }
  HttpClient::Answer answer{result->status, nlohmann::json::parse(result->body, nullptr, false)};
  answer.is_json = answer.body.is_object();
  if (!answer.is_json) {
    answer.body = {{"message", result->body.substr(0, 500)}};
  }
  return answer;
}

}  // namespace

HttpClient::Answer HttpClient::get(const std::string& path, const std::string& query) {
  return answer_of(impl_->client.Get(base_ + path + "?" + query), url_);
}

HttpClient::Answer HttpClient::post(const std::string& path, const nlohmann::json& body) {
  return answer_of(impl_->client.Post(base_ + path, json_text(body), "application/json"), url_);
}

std::string url_encoded(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace bissl::host
