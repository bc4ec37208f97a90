#pragma once

#include "../process_variables.hpp"
#include "catch.hpp"
#include "server_process.hpp"

#include <roundhouse/backend/subprocess/identity.hpp>

#include <httplib.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

/// The reference server with the demo engine, as its clients see it.
namespace roundhouse_tests {

inline const std::string master_key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
inline const std::string admin_key = "an-admin-key-of-thirty-two-chars";
inline const std::string platform_key = "pk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A range of ports that test programs on one machine rarely share; the server skips ports in use.
inline std::pair<std::string, std::string> port_range() {
    const int first = 10'000 + static_cast<int>(::getpid()) % 400 * 50;
    return {std::to_string(first), std::to_string(first + 49)};
}

/// Environment variables of a server whose store is in `folder`; `more` takes precedence.
inline child_process::environment options(const std::filesystem::path& folder,
                                          child_process::environment more = {}) {
    const auto [first, last] = port_range();
    more.insert({{"PATH", "/usr/bin:/bin"},
                 {"ORCH_LISTEN", "127.0.0.1:0"},
                 {"ORCH_MASTER_KEY", master_key},
                 {"ORCH_ADMIN_KEY", admin_key},
                 {"ORCH_STORE_PATH", (folder / "store").string()},
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

/// The value of the first member of this name in a JSON text, if it is a string or a number.
inline std::string member(std::string_view json, std::string_view name) {
    const auto start = json.find('"' + std::string(name) + "\":");
    if (start == std::string_view::npos) return {};
    json.remove_prefix(start + name.size() + 3);
    if (!json.starts_with('"')) return std::string(json.substr(0, json.find_first_of(",}")));
    return std::string(json.substr(1, json.find('"', 1) - 1));
}

/// Makes a first call with cpp-httplib, and so what all its clients share (its regular expressions).
/// The library's threads wait for each other there, but ThreadSanitizer does not see that.
inline void prepare_clients(const std::string& address) {
    httplib::Client("http://" + address).Get("/health");
}

/// A server that is ready, and a client with the platform key of its product.
class running_server {
public:
    explicit running_server(const child_process::environment& variables)
        : process(ROUNDHOUSE_SERVER, {}, variables),
          address(member(process.line_with("\"listening\""), "address")),
          client("http://" + address) {
        process.line_with("\"ready\"");
        prepare_clients(address);
        client.set_default_headers({{"X-Platform-Key", platform_key}});
        client.set_read_timeout(30);
        client.set_keep_alive(true);
    }

    /// Stops the engines with the server.
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
    std::string patch(const std::string& path, const std::string& body, int expected = 200) {
        auto answer = client.Patch(path, body, "application/json");
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

    /// Provisions an engine for a user; returns the body of the reply.
    std::string provision(const std::string& user, int expected = 200) {
        return post("/engines/provision", R"({"user_id":")" + user + "\"}", expected);
    }

    child_process process;
    std::string address;
    httplib::Client client;
};

/// Whether an engine answers at a URL.
inline bool answers(const std::string& url) {
    return static_cast<bool>(httplib::Client(url).Get("/health"));
}

/// Has an engine execute something; returns the status of its reply, or 0 without a reply.
inline int execute(const std::string& url, const std::string& key) {
    httplib::Client engine(url);
    engine.set_default_headers({{"X-Engine-Key", key}});
    const auto answer = engine.Post("/execute", R"({"input":1})", "application/json");
    return answer ? answer->status : 0;
}

/// The process of an engine of the server whose store is in `folder`.
inline pid_t process_of(const temporary_folder& folder, const std::string& engine_id) {
    const auto file = folder.path() / "store/workloads" / engine_id / "identity";
    const auto found = roundhouse::detail::subprocess::read_identity(file.string());
    REQUIRE(found);
    REQUIRE(*found);
    return (*found)->pid;
}

/// A variable that the process of such an engine was started with; empty if it has none of that name.
inline std::string variable_of(const temporary_folder& folder, const std::string& engine_id,
                               const std::string& name) {
    const auto variables = variables_of(process_of(folder, engine_id));
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
}

} // namespace roundhouse_tests

#endif
