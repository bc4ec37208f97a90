#pragma once

#include "catch.hpp"
#include "server_process.hpp"

#include <httplib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

// Without the programs there is nothing to test: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

/// The real server, with real engines, as its clients see it.
namespace roundhouse_tests {

inline const std::string master_key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
inline const std::string admin_key = "an-admin-key-of-24-chars";
inline const std::string platform_key = "pk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A range of ports that the test programs of one machine rarely share; the server passes over
/// those in use.
inline std::pair<std::string, std::string> port_range() {
    const int first = 10'000 + static_cast<int>(::getpid()) % 400 * 50;
    return {std::to_string(first), std::to_string(first + 49)};
}

inline child_process::environment options(const std::string& folder,
                                          child_process::environment more = {}) {
    const auto [first, last] = port_range();
    more.insert({{"PATH", "/usr/bin:/bin"},
                 {"ORCH_LISTEN", "127.0.0.1:0"},
                 {"ORCH_MASTER_KEY", master_key},
                 {"ORCH_ADMIN_KEY", admin_key},
                 {"ORCH_STORE_PATH", folder + "/store"},
                 {"ORCH_ENGINE_BACKEND", "subprocess"},
                 {"ORCH_ENGINE_COMMAND", ROUNDHOUSE_DEMO_ENGINE},
                 {"ORCH_PORT_MIN", first},
                 {"ORCH_PORT_MAX", last},
                 {"ORCH_RESTART_BACKOFF_BASE_S", "0.05"},
                 {"ORCH_LOG_FORMAT", "json"},
                 {"ORCH_LOG_LEVEL", "debug"},
                 {"ORCH_BOOTSTRAP_PRODUCT", "demo"},
                 {"ORCH_BOOTSTRAP_PLATFORM_KEY", platform_key}});
    return more;
}

/// The value of the first member of that name in a JSON text, if it is a string or a number.
inline std::string member(std::string_view json, std::string_view name) {
    const auto start = json.find('"' + std::string(name) + "\":");
    if (start == std::string_view::npos) return {};
    json.remove_prefix(start + name.size() + 3);
    if (!json.starts_with('"')) return std::string(json.substr(0, json.find_first_of(",}")));
    return std::string(json.substr(1, json.find('"', 1) - 1));
}

/// A server that is ready, and a client that has the key of its product.
class running_server {
public:
    explicit running_server(const child_process::environment& variables)
        : process(ROUNDHOUSE_SERVER, {}, variables),
          address(member(process.line_with("\"listening\""), "address")),
          client("http://" + address) {
        process.line_with("\"ready\"");
        client.set_default_headers({{"X-Platform-Key", platform_key}});
        client.set_read_timeout(30);
        client.set_keep_alive(true);
    }

    /// Leaves no engine behind.
    ~running_server() {
        process.signal(SIGTERM);
        process.wait();
    }

    [[nodiscard]] std::uint16_t port() const {
        return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    }

    std::string post(const std::string& path, const std::string& body = "{}", int expected = 200) {
        auto answer = client.Post(path, body, "application/json");
        REQUIRE(answer);
        INFO(path << ": " << answer->body);
        REQUIRE(answer->status == expected);
        return answer->body;
    }
    std::string get(const std::string& path, int expected = 200) {
        auto answer = client.Get(path);
        REQUIRE(answer);
        INFO(path << ": " << answer->body);
        REQUIRE(answer->status == expected);
        return answer->body;
    }

    child_process process;
    std::string address;
    httplib::Client client;
};

inline bool answers(const std::string& url) {
    return static_cast<bool>(httplib::Client(url).Get("/health"));
}

inline int execute(const std::string& url, const std::string& key) {
    httplib::Client engine(url);
    engine.set_default_headers({{"X-Engine-Key", key}});
    const auto answer = engine.Post("/execute", R"({"input":1})", "application/json");
    return answer ? answer->status : 0;
}

} // namespace roundhouse_tests

#endif
