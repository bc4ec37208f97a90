#pragma once

#include "../installed_versions.hpp"
#include "../integration/running_server.hpp"
#include "../process_variables.hpp"
#include "current_address.hpp"
#include "fleet_inspector.hpp"

#include <roundhouse/types.hpp>

#include <httplib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
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

    [[nodiscard]] const std::string& last_stir() const noexcept { return last_stir_; }

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

    /// Gives the engine the other of the two versions that run.
    void upgrade() {
        using versions = installed_versions;
        const std::string next = versions_.contains(versions::first) ? versions::second
                                                                     : versions::first;
        const auto before = std::exchange(status_, std::nullopt);
        versions_.insert(next);
        const auto answer = ask_for(next);
        if (!answer || answer->status >= 500) return;
        if (answer->status == 200) note(member(answer->body, "status"), *answer);
        else status_ = before;
    }

    /// Asks for the version that exits, if the engine is known to run: in other states there would be
    /// no way back from it.
    void upgrade_in_vain() {
        if (status_ != "running") return;
        // The way back from it leads to the version that runs, which may be another than the next
        // boot is to have.
        const auto found = read();
        if (!found || has_pending_version(found->body)) return;
        status_ = std::nullopt;
        const auto answer = ask_for(installed_versions::bad);
        if (answer && member(answer->body, "reverted") == "true") status_ = "running";
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
        if (const auto wrong = wrong_version(found->body, fleet)) return wrong;
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
    reply ask_for(const std::string& version) {
        return send("/engines/" + name_ + "/upgrade",
                    R"({"engine_version":")" + version + R"(","healthy_for_s":0.02})");
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
        versions_ = {member(answer.body, "engine_version")};
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

    /// Whether an engine object tells that the next boot is to have another version.
    static bool has_pending_version(const std::string& engine) {
        const auto pending = engine.substr(std::min(engine.find(R"("pending":)"), engine.size()));
        return pending.substr(0, pending.find(']')).find("engine_version") != std::string::npos;
    }

    /// Whether it is one of the versions that it may be, and the process is of that version.
    std::optional<std::string> wrong_version(const std::string& engine,
                                             const fleet_inspector& fleet) {
        const auto version = member(engine, "engine_version");
        if (!versions_.contains(version))
            return name_ + ": its engine has version " + version + ", which it was not given";
        versions_ = {version};
        if (member(engine, "upgrade") != "null") return name_ + ": its upgrade is not over";
        // A paused engine goes on with what it has until its next boot.
        if (has_pending_version(engine)) return std::nullopt;
        for (const auto pid : fleet.processes_of(*roundhouse::parse_uuid(id_)))
            if (const auto runs = variables_of(pid)["ENGINE_VERSION"]; runs != version)
                return name_ + ": its process is of version " + runs + ", its engine of " + version;
        return std::nullopt;
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
    std::set<std::string> versions_{installed_versions::first}; ///< One of them.
    std::uint64_t counted_ = 0;
    std::uint64_t unanswered_ = 0; ///< Counts since then.
    std::optional<std::uint64_t> wrong_count_;
};

} // namespace roundhouse_tests

#endif
