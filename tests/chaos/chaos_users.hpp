#pragma once

#include "../integration/running_server.hpp"
#include "current_address.hpp"
#include "fleet_inspector.hpp"

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/types.hpp>

#include <httplib.h>
#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace roundhouse_tests {

/// One user, who makes one call after the other, disturbs the engine, and remembers what the
/// answers promised. For one thread.
class chaos_user {
public:
    chaos_user(std::string name, const current_address& server, const fleet_inspector& inspector)
        : name_(std::move(name)), server_(server), inspector_(inspector) {}

    void act(std::mt19937_64& random) {
        const auto dice = random() % 100;
        if (dice < 36) return admit();
        if (dice < 40) return sleep(random() % 2 == 0);
        if (dice < 48) return stop(random() % 2 == 0);
        if (dice < 58) return start();
        if (dice < 66) return rotate();
        if (dice < 70) return destroy();
        if (dice < 76) return note_activity();
        if (dice < 84) return execute();
        if (dice < 88) return disturb("/demo/health", R"({"status":"sick"})");
        if (dice < 92) return disturb("/demo/health", R"({"status":"hang"})");
        if (dice < 94) return disturb("/demo/exit", R"({"code":0})");
        signal_engine(dice < 97 ? SIGKILL : SIGSTOP);
    }

    /// The first promise that the rows do not keep, in words; nothing if they keep all.
    [[nodiscard]] std::optional<std::string>
    broken_promise(const std::vector<roundhouse::engine_ptr>& rows) const {
        roundhouse::engine_ptr own;
        for (const auto& row : rows) {
            if (row->user_id == name_) own = row;
            if (destroyed_.contains(to_string(row->id)))
                return name_ + ": a destroyed engine is back";
        }
        for (const auto& id : destroyed_)
            if (std::filesystem::exists(inspector_.folder_of(*roundhouse::parse_uuid(id))))
                return name_ + ": data of a destroyed engine is there";
        if (!id_.empty() && (!own || to_string(own->id) != id_))
            return name_ + ": the engine of an earlier answer is lost";
        if (absent_ && own) return name_ + ": an engine without a call that creates it";
        if (!own) return std::nullopt;
        using roundhouse::engine_status;
        const bool down = own->status == engine_status::stopped;
        if (stopped_ && *stopped_ != down)
            return name_ + (down ? ": stopped without a stop call" : ": not stopped");
        if (!key_.empty() && roundhouse::crypto::sha256(key_) != own->key_hash)
            return name_ + ": the key of the last answer is not in force";
        if (!id_.empty() && executions_in(inspector_.folder_of(own->id)) < executions_)
            return name_ + ": its data is older than it was";
        return std::nullopt;
    }

    [[nodiscard]] std::uint64_t answered() const noexcept { return answered_; }

private:
    /// The answer to a call; nothing if there was none.
    std::optional<httplib::Response> call(const std::string& method, const std::string& path,
                                          const std::string& body = "{}") {
        httplib::Client client("http://" + server_.get());
        client.set_connection_timeout(5);
        client.set_read_timeout(20);
        const httplib::Headers headers{{"X-Platform-Key", platform_key}};
        const auto target = "/engines/" + name_ + path;
        const auto answer = method == "DELETE"
                                ? client.Delete(target, headers)
                                : client.Post(target, headers, body, "application/json");
        if (!answer) return std::nullopt;
        ++answered_;
        return *answer;
    }

    static bool ok(const std::optional<httplib::Response>& answer) {
        return answer && answer->status == 200;
    }
    /// Whether the call has had no effect.
    static bool refused(const std::optional<httplib::Response>& answer) {
        return answer && answer->status >= 400 && answer->status < 500;
    }

    void admit() {
        const auto absent = std::exchange(absent_, false);
        const auto answer = call("POST", "/admit", R"({"auto_provision":true,"auto_wake":true})");
        if (refused(answer)) absent_ = absent;
        if (!ok(answer)) return;
        if (member(answer->body, "admitted") != "true") return;
        const auto id = member(answer->body, "engine_id");
        if (id != id_) executions_ = 0;
        id_ = id;
        key_ = member(answer->body, "api_key");
        port_ = std::stoi(member(answer->body, "url").substr(sizeof "http://127.0.0.1"));
        stopped_ = false;
    }

    void stop(bool force) {
        const auto before = std::exchange(stopped_, std::nullopt);
        const auto answer = call("POST", force ? "/stop?force=true" : "/stop");
        if (ok(answer)) stopped_ = true;
        else if (refused(answer)) stopped_ = before;
    }
    void start() {
        const auto before = std::exchange(stopped_, std::nullopt);
        const auto answer = call("POST", "/start");
        if (ok(answer)) stopped_ = false;
        else if (refused(answer)) stopped_ = before;
    }

    /// Only admits and starts count on what it becomes.
    void sleep(bool deeply) {
        (void)call("POST", "/sleep", deeply ? R"({"mode":"stopped"})" : "{}");
    }

    void rotate() {
        const auto before = std::exchange(key_, {});
        const auto answer = call("POST", "/rotate-key");
        if (ok(answer)) key_ = member(answer->body, "new_api_key");
        else if (refused(answer)) key_ = before;
    }

    void destroy() {
        const auto answer = call("DELETE", "");
        // A refusal of a destroy that could have succeeded does not make the engine absent.
        if (refused(answer) && !id_.empty()) return;
        id_.clear();
        key_.clear();
        stopped_.reset();
        absent_ = ok(answer) || refused(answer);
        if (ok(answer)) destroyed_.insert(member(answer->body, "engine_id"));
    }

    void note_activity() { (void)call("POST", "/activity", R"({"busy_for_s":0.5})"); }

    /// Sends a request to the engine itself. Nothing without an answer, which may have any cause.
    std::optional<httplib::Response> post_to_engine(const std::string& path,
                                                    const std::string& body) const {
        if (key_.empty() || port_ == 0) return std::nullopt;
        httplib::Client engine("127.0.0.1", port_);
        engine.set_read_timeout(0, 500'000);
        const auto answer = engine.Post(path, {{"X-Engine-Key", key_}}, body, "application/json");
        if (!answer) return std::nullopt;
        return *answer;
    }

    void execute() {
        const auto answer = post_to_engine("/execute", R"({"input":1})");
        // The port may belong to another engine by now, which does not know the key.
        if (!ok(answer) || member(answer->body, "engine_id") != id_) return;
        const auto count = std::stoull(member(answer->body, "count"));
        executions_ = std::max<std::uint64_t>(executions_, count);
    }
    void disturb(const std::string& path, const std::string& body) const {
        (void)post_to_engine(path, body); // Any outcome will do.
    }

    void signal_engine(int number) const {
        const auto id = roundhouse::parse_uuid(id_);
        const auto process = id ? process_of(inspector_.identity_file_of(*id)) : std::nullopt;
        if (!process) return;
        const auto handle = sub::open_pidfd(process->identity.pid);
        // If it is still that process, the handle keeps its pid from being used again.
        if (handle && process_of(inspector_.identity_file_of(*id)))
            sub::send_signal(handle.get(), number);
    }

    const std::string name_;
    const current_address& server_;
    const fleet_inspector& inspector_;
    std::uint64_t answered_ = 0;
    int port_ = 0;

    // What the answers promised; empty where the last answer is missing or was a failure.
    std::string id_;
    std::string key_;
    std::optional<bool> stopped_;
    bool absent_ = true;
    std::uint64_t executions_ = 0;
    std::set<std::string> destroyed_;
};

} // namespace roundhouse_tests

#endif
