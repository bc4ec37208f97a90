#pragma once

#include "fake_orchestrator.hpp"

#include <roundhouse/http/api.hpp>
#include <roundhouse/log_text.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace roundhouse_tests {

static_assert(std::is_move_constructible_v<roundhouse::http::api>);

inline constexpr std::string_view test_admin_key = "an-admin-key-of-16+";

/// An api on a fake orchestrator, with short ways to call it. Requests carry both valid keys unless
/// a test changes `request`.
class api_harness {
public:
    explicit api_harness(std::string_view admin_key = test_admin_key,
                         std::size_t max_body_bytes = 64 * 1024)
        : api_(fake_,
               {std::string(admin_key), max_body_bytes, [this](const roundhouse::log_line& line) {
                    logged.push_back(std::string(name_of(line.level)) + " " +
                                     roundhouse::to_text(line));
                }}) {}

    roundhouse::http::request request{{}, {}, {}, fake_platform_key, test_admin_key, {}, false};
    std::vector<std::string> logged;
    std::size_t answered_later = 0; ///< Number of replies given through `later`.

    [[nodiscard]] fake_orchestrator& fake() noexcept { return *fake_; }

    /// Sends a request, has the fake orchestrator answer the waiting calls, and returns the reply.
    roundhouse::http::reply ask(std::string_view method, std::string_view target,
                                std::string_view body = {}) {
        auto sent = request;
        sent.method = method;
        sent.target = target;
        sent.body = body;
        std::optional<roundhouse::http::reply> later;
        auto now = api_.handle(sent, [&](roundhouse::http::reply answer) {
            ++answered_later;
            later = std::move(answer);
        });
        const bool called_at_once = later.has_value();
        fake_->run();
        if (called_at_once || now.has_value() == later.has_value())
            return roundhouse::http::error_reply(0, "NOT_ANSWERED_EXACTLY_ONCE", {}, {});
        return now ? std::move(*now) : std::move(*later);
    }

    void replace_named_admins(std::vector<roundhouse::http::named_admin> named) {
        api_.replace_named_admins(std::move(named));
    }

    /// Sends a request without letting the fake orchestrator answer.
    std::optional<roundhouse::http::reply>
    begin(std::string_view method, std::string_view target,
          std::function<void(roundhouse::http::reply)> later) {
        auto sent = request;
        sent.method = method;
        sent.target = target;
        return api_.handle(sent, std::move(later));
    }

private:
    std::shared_ptr<fake_orchestrator> fake_ = std::make_shared<fake_orchestrator>();
    roundhouse::http::api api_;
};

/// The JSON of a body, without the newline that must follow it.
inline std::string json_of(const roundhouse::http::reply& reply) {
    if (!reply.body.ends_with('\n')) return "no newline after " + reply.body;
    return reply.body.substr(0, reply.body.size() - 1);
}

/// The code in an error's body; the whole body if it is not an error's.
inline std::string code_of(const roundhouse::http::reply& reply) {
    constexpr std::string_view start = "{\"error\":{\"code\":\"";
    if (!reply.body.starts_with(start)) return reply.body;
    return reply.body.substr(start.size(), reply.body.find('"', start.size()) - start.size());
}

/// Status and code of an error, such as `404 NOT_FOUND`.
inline std::string told(const roundhouse::http::reply& reply) {
    return std::to_string(reply.status) + " " + code_of(reply);
}

} // namespace roundhouse_tests
