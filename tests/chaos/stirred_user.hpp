#pragma once

#include "../integration/running_server.hpp"
#include "current_address.hpp"
#include "fleet_inspector.hpp"

#include <roundhouse/types.hpp>

#include <httplib.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace roundhouse_tests {

/// A user whose engine is stirred by calls while the server may be killed at any moment. Remembers what
/// the answers promised, and leaves open what a call without an answer may have done. For one thread at
/// a time.
class stirred_user {
public:
    stirred_user(std::string name, const current_address& server)
        : name_(std::move(name)), server_(&server) {}

    /// Notes what is done to it next, which `broken_promise` tells.
    void stirred_by(std::string_view what) { last_stir_ = what; }

    /// Whether the last call had an answer.
    [[nodiscard]] bool answered() const noexcept { return answered_; }

    void provision() {
        absent_ = false;
        const auto answer = send("/engines/provision", R"({"user_id":")" + name_ + "\"}");
        if (answer && answer->status == 200) note("running", *answer);
    }

    /// A call about the engine, after whose success it is in this status.
    void post(const std::string& path, const std::string& body, const std::string& status) {
        const auto before = std::exchange(status_, std::nullopt);
        const auto answer = send("/engines/" + name_ + path, body);
        if (!answer || answer->status >= 500) return;
        if (answer->status == 200) note(status, *answer);
        else status_ = before; // it was refused, without an effect
    }

    /// Has the engine count, if it is known to run.
    void execute() {
        if (status_ == "running") (void)count();
    }

    void destroy() {
        const auto answer = client().Delete("/engines/" + name_);
        answered_ = static_cast<bool>(answer);
    }

    /// The first promise that is not kept once the fleet is at rest, in words; nothing if all are. Wakes
    /// the engine to look at its data.
    [[nodiscard]] std::optional<std::string> broken_promise(const fleet_inspector& fleet) {
        const auto found = read();
        if (!found) return name_ + ": no answer";
        if (found->status == 404) {
            if (id_.empty()) return std::nullopt; // its creation was cut off
            return name_ + ": its engine is lost";
        }
        const auto id = member(found->body, "engine_id");
        if (id_.empty() && absent_) return name_ + ": an engine that nobody has asked for is there";
        if (!id_.empty() && id != id_) return name_ + ": it has another engine than it had";
        id_ = id;
        if (!key_.empty() && member(found->body, "api_key") != key_)
            return name_ + ": its engine has another key than it had";
        const auto status = member(found->body, "status");
        if (status_ ? status != *status_ : status != "running" && status != "sleeping")
            return name_ + ": its engine is " + status + ", was " + status_.value_or("open") +
                   ", and was last stirred by " + last_stir_;
        const bool has_workload = member(found->body, "sleep_mode") != "stopped";
        const auto processes = fleet.processes_of(*roundhouse::parse_uuid(id)).size();
        if (processes != (has_workload ? 1U : 0U))
            return name_ + ": " + std::to_string(processes) + " processes of its engine";
        return lost_data();
    }

private:
    using reply = std::optional<httplib::Response>;

    [[nodiscard]] httplib::Client client() const {
        httplib::Client out("http://" + server_->get());
        out.set_default_headers({{"X-Platform-Key", platform_key}});
        out.set_connection_timeout(5);
        out.set_read_timeout(30);
        return out;
    }
    reply send(const std::string& path, const std::string& body) {
        const auto answer = client().Post(path, body, "application/json");
        answered_ = static_cast<bool>(answer);
        return answered_ ? reply(*answer) : std::nullopt;
    }
    reply read() const {
        const auto answer = client().Get("/engines/" + name_);
        return answer ? reply(*answer) : std::nullopt;
    }

    void note(const std::string& status, const httplib::Response& answer) {
        status_ = status;
        id_ = member(answer.body, "engine_id");
        if (const auto key = member(answer.body, "api_key"); !key.empty()) key_ = key;
        url_ = member(answer.body, "url");
    }

    /// Has the engine count once more; false if it does not answer. Only this user counts, so that each
    /// number must follow the one before, or that of a call without an answer.
    bool count() {
        httplib::Client engine(url_);
        const auto answer = engine.Post("/execute", {{"X-Engine-Key", key_}}, R"({"input":1})",
                                        "application/json");
        if (!answer || answer->status != 200) {
            ++unanswered_;
            return false;
        }
        const auto counted = std::stoull(member(answer->body, "count"));
        if (counted <= counted_ || counted > counted_ + unanswered_ + 1) wrong_count_ = counted;
        counted_ = counted;
        unanswered_ = 0;
        return true;
    }

    std::optional<std::string> lost_data() {
        const auto admitted = send("/engines/" + name_ + "/admit", R"({"auto_wake":true})");
        if (!admitted || member(admitted->body, "admitted") != "true")
            return name_ + ": it is not admitted: " + (admitted ? admitted->body : "no answer");
        note("running", *admitted);
        if (!count()) return name_ + ": its engine does not execute";
        if (wrong_count_)
            return name_ + ": its engine has counted to " + std::to_string(*wrong_count_) +
                   " where another number follows";
        return std::nullopt;
    }

    std::string name_;
    const current_address* server_;
    bool answered_ = true;
    std::string last_stir_ = "nothing";

    // What is known of the engine; without a value where a call had no answer.
    bool absent_ = true; ///< It was never asked for.
    std::optional<std::string> status_;
    std::string id_;
    std::string key_;
    std::string url_;
    std::uint64_t counted_ = 0;
    std::uint64_t unanswered_ = 0; ///< Counts since then.
    std::optional<std::uint64_t> wrong_count_;
};

} // namespace roundhouse_tests

#endif
