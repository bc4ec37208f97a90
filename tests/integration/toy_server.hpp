#pragma once

#include "../../reference-server/transport/listener.hpp"
#include "raw_connection.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// A listener with a handler for tests, shared by the tests of the listener.
namespace roundhouse_tests::listening {

namespace http = roundhouse::http;
using roundhouse::server::address_set;
using roundhouse::server::listener;
using roundhouse::server::listener_limits;
using roundhouse::server::request_handler;
using later_reply = std::function<void(http::reply)>;

inline http::reply text(std::string body) {
    http::reply reply;
    reply.body = std::move(body);
    reply.request_id = "an-id";
    return reply;
}

inline std::string get(std::string_view target, std::string_view headers = {}) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(headers) +
           "\r\n";
}

inline std::string post(std::string_view target, std::string_view body) {
    return "POST " + std::string(target) +
           " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}

/// Calls that wait until the test answers them.
class waiting_calls {
public:
    void add(later_reply later) {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(later));
        changed_.notify_all();
    }
    later_reply next() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !waiting_.empty(); });
        auto first = std::move(waiting_.front());
        waiting_.erase(waiting_.begin());
        return first;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<later_reply> waiting_;
};

/// Answers with the request at once, except `/later`, which waits, `/drop` and `/never`, which get no
/// answer, `/delayed`, `/throw`, which throws, and `/big`, whose answer has 5 MB.
class toy {
public:
    waiting_calls waiting;
    std::atomic<int> calls{0};

    std::optional<http::reply> answer(const http::request& request, http::reply_channel& channel) {
        ++calls;
        if (request.target == "/later") return waiting.add(channel.open()), std::nullopt;
        if (request.target == "/drop") return (void)channel.open(), std::nullopt;
        if (request.target == "/client") return text(std::string(request.client));
        if (request.target == "/never") return std::nullopt;
        if (request.target == "/throw") throw std::runtime_error("as asked");
        if (request.target == "/throw-odd") throw 1;
        if (request.target == "/big") return text(std::string(5'000'000, 'x'));
        if (request.target == "/delayed") {
            auto reply = text("delayed");
            reply.delay = std::chrono::milliseconds(20);
            return reply;
        }
        if (request.target == "/twice") {
            const auto later = channel.open();
            later(text("first")), later(text("second"));
        }
        return text(std::string(request.method) + " " + std::string(request.target) + " [" +
                    std::string(request.body) + "] " + std::string(request.platform_key) + "/" +
                    std::string(request.admin_key) + "/" + std::string(request.request_id) +
                    (request.body_too_large ? " too large" : ""));
    }

    [[nodiscard]] request_handler handler() {
        return [this](const http::request& request, http::reply_channel& channel) {
            return answer(request, channel);
        };
    }
};

struct serving {
    toy handler;
    listener server;

    explicit serving(listener_limits limits = {}, std::size_t loops = 2,
                     std::string_view trusted = {})
        : server({.places = {{.host = "127.0.0.1", .port = 0}},
                  .loops = loops,
                  .limits = limits,
                  .trusted = address_set::parse(trusted).value(),
                  .warn = {}},
                 handler.handler()) {}

    [[nodiscard]] raw_connection connect() const { return raw_connection(server.port()); }
    std::string ask(std::string_view bytes) const {
        auto connection = connect();
        connection.send(bytes);
        return connection.response();
    }
};

} // namespace roundhouse_tests::listening
