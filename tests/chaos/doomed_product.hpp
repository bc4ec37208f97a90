#pragma once

#include "../integration/running_server.hpp"
#include "../io_threads.hpp"
#include "current_address.hpp"
#include "fleet_inspector.hpp"

#include <roundhouse/types.hpp>

#include <httplib.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace roundhouse_tests {

/// A product that is deleted together with its engines while the server may be killed at any moment.
/// For one thread at a time.
class doomed_product {
public:
    /// Registers it and provisions its engines, for which the server must answer.
    doomed_product(std::string slug, const current_address& server, std::size_t engines)
        : slug_(std::move(slug)), server_(&server) {
        const auto key = register_it();
        if (!key) throw std::runtime_error("the product " + slug_ + " cannot be registered");
        key_ = *key;
        for (std::size_t n = 0; n < engines; ++n)
            if (!provision()) throw std::runtime_error("an engine of " + slug_ + " does not run");
    }

    /// Whether the last deletion had an answer.
    [[nodiscard]] bool answered() const noexcept { return answered_; }

    /// Provisions one engine more; returns false without its success.
    bool provision() {
        const auto user = "user-" + std::to_string(users_++);
        const auto answer = as_product().Post("/engines/provision",
                                              R"({"user_id":")" + user + "\"}", "application/json");
        if (!answer || answer->status != 200) return false;
        engines_.push_back({user, member(answer->body, "engine_id")});
        return true;
    }

    /// Deletes it with its engines, whose end the answer does not wait for.
    void erase() {
        const auto answer = as_admin().Delete("/products/" + slug_ + "?cascade=true");
        answered_ = static_cast<bool>(answer);
        if (!answered_) return;
        promised_ = answer->status == 202 || answer->status == 200;
        if (!promised_) refusal_ = answer->body;
    }

    /// The first promise that is not kept once the server is up again, in words; nothing if all are.
    /// What a cut off deletion has not begun is deleted here: nothing of the product is left after it.
    [[nodiscard]] std::optional<std::string> broken_promise(const fleet_inspector& fleet) {
        if (!refusal_.empty()) return slug_ + ": its deletion was refused: " + refusal_;
        if (!promised_) {
            if (const auto whole = why_not_whole()) return whole;
            if (!is_gone()) erase();
        }
        if (!eventually([&] { return is_gone(); })) return slug_ + ": the product is not gone";
        for (const auto& engine : engines_)
            if (const auto trace = trace_of(engine, fleet)) return trace;
        return slug_in_use();
    }

private:
    struct known_engine {
        std::string user;
        std::string id;
    };

    [[nodiscard]] httplib::Client client(const char* header, const std::string& key) const {
        httplib::Client out("http://" + server_->get());
        out.set_default_headers({{header, key}});
        out.set_connection_timeout(5);
        out.set_read_timeout(30);
        return out;
    }
    [[nodiscard]] httplib::Client as_admin() const { return client("X-Admin-Key", admin_key); }
    [[nodiscard]] httplib::Client as_product() const { return client("X-Platform-Key", key_); }

    [[nodiscard]] std::optional<std::string> register_it() const {
        const auto answer = as_admin().Post(
            "/products/register", R"({"slug":")" + slug_ + R"(","display_name":"Doomed"})",
            "application/json");
        if (!answer || answer->status != 200) return std::nullopt;
        return member(answer->body, "platform_api_key");
    }

    [[nodiscard]] bool is_gone() const {
        const auto found = as_admin().Get("/products/" + slug_);
        return found && found->status == 404;
    }

    /// After a deletion without an answer: either it has begun, or the product has all that it had.
    [[nodiscard]] std::optional<std::string> why_not_whole() const {
        const auto found = as_admin().Get("/products/" + slug_);
        if (!found) return slug_ + ": no answer";
        if (found->status == 404 || member(found->body, "deleting_since") != "null")
            return std::nullopt;
        for (const auto& engine : engines_) {
            const auto answer = as_product().Get("/engines/" + engine.user);
            if (!answer || member(answer->body, "engine_id") != engine.id ||
                member(answer->body, "status") != "running")
                return slug_ + ": an engine of it does not run, and it is not deleted: " +
                       (answer ? answer->body : "no answer");
        }
        return std::nullopt;
    }

    /// What is left of an engine of it.
    [[nodiscard]] static std::optional<std::string> trace_of(const known_engine& engine,
                                                             const fleet_inspector& fleet) {
        const auto id = *roundhouse::parse_uuid(engine.id);
        if (!fleet.processes_of(id).empty()) return engine.id + ": its process is left";
        const std::filesystem::path identity = fleet.identity_file_of(id);
        for (const auto& folder :
             {std::filesystem::path(fleet.folder_of(id)), identity.parent_path()})
            if (std::filesystem::exists(folder)) return folder.string() + " is left";
        return std::nullopt;
    }

    /// Takes the slug for a product that has nothing of the deleted one, and deletes that too.
    [[nodiscard]] std::optional<std::string> slug_in_use() {
        if (as_product().Get("/status")->status != 401)
            return slug_ + ": the key of the deleted product is taken";
        const auto next = register_it();
        if (!next) return slug_ + ": the slug is not free";
        key_ = *next;
        const auto status = as_product().Get("/status");
        if (!status || member(status->body, "total") != "0")
            return slug_ + ": the next product of this slug has engines";
        const auto answer = as_admin().Delete("/products/" + slug_);
        if (!answer || answer->status != 200)
            return slug_ + ": it cannot be deleted without engines";
        return std::nullopt;
    }

    std::string slug_;
    const current_address* server_;
    std::string key_;
    std::size_t users_ = 0;
    std::vector<known_engine> engines_;
    bool answered_ = true;
    bool promised_ = false; ///< An answer has said that it is or will be gone.
    std::string refusal_;
};

} // namespace roundhouse_tests

#endif
