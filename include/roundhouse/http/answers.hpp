#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/http/routes.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// From an outcome to a reply, in such a way that nothing is thrown at a transport.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http::detail {

/// Where the reasons of internal errors go. Shared, because an answer may come when the api is
/// gone.
using log_sink = std::shared_ptr<const std::function<void(std::string_view)>>;

/// Tells the log why a request ended in an internal error. A sink that throws is left alone: there
/// is nobody to tell.
inline void log_reason(const log_sink& log, const std::string& request_id,
                       std::string_view reason) noexcept {
    try {
        if (log && *log) (*log)("request " + request_id + " failed inside: " + std::string(reason));
    } catch (...) {
    }
}

/// The reply to a failure; what happened inside goes to the log instead.
inline reply failed(const log_sink& log, const std::string& request_id, const error& what) {
    if (http_status(what.code) == 500) log_reason(log, request_id, what.message);
    return error_reply(what, request_id);
}

/// The reply to an exception. Must be called while it is handled. Without memory for words the
/// reply has none.
inline reply failed_inside(const log_sink& log, const std::string& request_id) noexcept {
    try {
        throw;
    } catch (const std::exception& thrown) {
        log_reason(log, request_id, thrown.what());
    } catch (...) {
        log_reason(log, request_id, "an exception of an unknown type");
    }
    try {
        return error_reply(error{}, request_id);
    } catch (...) {
        reply bare;
        bare.status = 500;
        return bare;
    }
}

/// The reply to an outcome: what `render` makes of its value, or its error.
template <class Outcome, class Render>
reply settled(const log_sink& log, const std::string& request_id, const Outcome& outcome,
              const Render& render) {
    if (!outcome) return failed(log, request_id, outcome.error());
    reply out;
    if constexpr (std::is_void_v<typename Outcome::value_type>) out = render();
    else out = render(*outcome);
    out.request_id = request_id;
    return out;
}

/// One request on its way through the api.
struct call {
    const request& in;
    std::function<void(reply)> later;
    log_sink log;
    std::string id;
    route where{};
    std::string_view query{};

    [[nodiscard]] reply fail_with(const error& what) const { return failed(log, id, what); }

    template <class Outcome, class Render>
    [[nodiscard]] reply settle(const Outcome& outcome, const Render& render) const {
        return settled(log, id, outcome, render);
    }

    /// The completion handler that answers later. Takes `later` from the call.
    template <class Render> [[nodiscard]] auto when_done(Render render) {
        return
            [log = log, id = id, later = std::move(later), render](const auto& outcome) noexcept {
                reply out;
                try {
                    out = settled(log, id, outcome, render);
                } catch (...) {
                    out = failed_inside(log, id);
                }
                try {
                    later(std::move(out));
                } catch (...) {
                    log_reason(log, id, "the transport threw at its reply");
                }
            };
    }
};

} // namespace http::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
