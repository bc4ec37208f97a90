#pragma once

#include <roundhouse/detail/completion.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/credentials.hpp>
#include <roundhouse/http/host_paths.hpp>
#include <roundhouse/http/ignored_names.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/http/routes.hpp>
#include <roundhouse/http/viewer.hpp>
#include <roundhouse/log.hpp>

#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// Turns outcomes into replies without exceptions that a transport would have to catch.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http::detail {

/// A sink that is shared, because a reply may follow the end of the api.
using shared_log = std::shared_ptr<const log_sink>;

/// Logs why a request failed where the reply does not tell: because of an internal error, or with a
/// path of the host. Exceptions of the sink are ignored, because there is no other place to report
/// them.
inline void log_reason(const shared_log& log, log_level level, const std::string& request_id,
                       std::string_view reason) noexcept {
    constexpr std::string_view internal =
        "a request ended in an internal error. Report it with the "
        "reason, unless that tells what to do";
    try {
        if (!log || !*log) return;
        const std::array<log_field, 2> fields{log_field{"request_id", request_id},
                                              log_field{"reason", reason}};
        (*log)({level, level == log_level::error ? internal : "a request failed", fields});
    } catch (...) {
    }
}

/// Makes the reply to a failure. Logs what the reply does not show: the cause of an internal error,
/// and the paths of the host in the causes of others.
inline reply failed(const shared_log& log, const std::string& request_id, const error& failure) {
    const auto status = http_status(failure.code);
    if (status == 500) log_reason(log, log_level::error, request_id, failure.message);
    if (status <= 500) return error_reply(failure, request_id);
    error shown = failure;
    shown.message = without_host_paths(failure.message);
    if (shown.message != failure.message)
        log_reason(log, log_level::warning, request_id, failure.message);
    return error_reply(shown, request_id);
}

/// Makes the reply to the exception that is being handled. If there is no memory for a message, the
/// reply has no body.
inline reply failed_inside(const shared_log& log, const std::string& request_id) noexcept {
    try {
        throw;
    } catch (const std::exception& problem) {
        log_reason(log, log_level::error, request_id, problem.what());
    } catch (...) {
        log_reason(log, log_level::error, request_id, "an exception of an unknown type");
    }
    try {
        return error_reply(error{}, request_id);
    } catch (...) {
        reply bare;
        bare.status = 500;
        return bare;
    }
}

/// Makes the reply to an outcome: `render` renders its value.
template <class Outcome, class Render>
reply settled(const shared_log& log, const std::string& request_id, const Outcome& outcome,
              const Render& render) {
    if (!outcome) return failed(log, request_id, outcome.error());
    reply out;
    if constexpr (std::is_void_v<typename Outcome::value_type>) out = render();
    else out = render(*outcome);
    out.request_id = request_id;
    return out;
}

/// Adds to a reply what was ignored of its request, and whether unknown names would be refused.
inline reply noted(reply out, std::string ignored, bool strict) {
    out.ignored = std::move(ignored);
    out.strict = strict;
    return out;
}

/// A reply that is either returned at once or delivered later.
class waiting_reply {
public:
    /// Delivers the reply: to the channel if `reply_now` has opened it, otherwise to `reply_now`.
    void complete(reply out) {
        {
            const std::lock_guard lock(mutex_);
            if (!later_) {
                now_.emplace(std::move(out));
                return;
            }
        }
        later_(std::move(out));
    }

    /// Returns the reply if it is known. Otherwise opens the channel, to which `complete` passes it.
    [[nodiscard]] std::optional<reply> reply_now(reply_channel& channel) {
        const std::lock_guard lock(mutex_);
        if (!now_) later_ = channel.open();
        return std::move(now_);
    }

private:
    std::mutex mutex_;
    std::optional<reply> now_;
    std::function<void(reply)> later_; ///< Does not change once it is set.
};

/// Adds nothing to a reply.
struct nothing_more {
    void operator()(reply&) const noexcept {}
};

/// A request that is being handled.
struct pending_call {
    const request& in;
    reply_channel& channel;
    shared_log log;
    std::string id;
    http::route route{};
    credentials keys{};
    std::string_view query{};
    ignored_names ignored{};
    std::string actor{};     ///< Of the administrator who calls; empty if it is none.
    std::string own_query{}; ///< What `query` refers to, if that is not the request's.

    [[nodiscard]] viewer seen_by() const noexcept {
        return actor.empty() ? viewer::product : viewer::admin;
    }
    /// Renders for whoever calls.
    template <class T> [[nodiscard]] auto shown_by(reply (*render)(const T&, viewer)) const {
        return [render, seen = seen_by()](const T& value) { return render(value, seen); };
    }

    [[nodiscard]] reply fail_with(const error& failure) const {
        return noted(failed(log, id, failure), ignored.header(), in.strict);
    }

    template <class Outcome, class Render>
    [[nodiscard]] reply settle(const Outcome& outcome, const Render& render) const {
        return noted(settled(log, id, outcome, render), ignored.header(), in.strict);
    }

    /// The failure of a request that asks for strict handling and has names that were ignored.
    [[nodiscard]] std::optional<error> refusal() const {
        return in.strict && !ignored.empty() ? std::optional(ignored.refusal()) : std::nullopt;
    }

    /// Takes what was read of the request, unless it is to be refused for what was ignored.
    template <class T> [[nodiscard]] result<T> take(result<T> read) const {
        if (!read) return read;
        if (auto refused = refusal()) return unexpected(*std::move(refused));
        return read;
    }

    /// Begins a call of the fleet: `begin` is given its completion. Returns the reply if it is
    /// known when `begin` returns; otherwise the reply is delivered later. `add` adds to the reply,
    /// whether it is one of success or failure.
    template <class T, class Render, class Begin, class Add = nothing_more>
    [[nodiscard]] std::optional<reply> ask(Render render, const Begin& begin, Add add = {}) {
        const auto waiting = std::make_shared<waiting_reply>();
        begin(completion<T>([log = log, id = id, ignored = ignored.header(), strict = in.strict,
                             render, add, waiting](const result<T>& outcome) noexcept {
            reply out;
            try {
                out = noted(settled(log, id, outcome, render), ignored, strict);
                add(out);
            } catch (...) {
                out = failed_inside(log, id);
            }
            try {
                waiting->complete(std::move(out));
            } catch (...) {
                log_reason(log, log_level::error, id, "the transport threw at its reply");
            }
        }));
        return waiting->reply_now(channel);
    }
};

} // namespace http::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
