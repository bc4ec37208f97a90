#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/crypto/keys.hpp>

#include <openssl/crypto.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The keys of administrators, which calls carry (SPEC §3).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// The key of one administrator.
struct named_admin {
    std::string name; ///< `core::names::check_admin_name`
    std::string key;
};

/// The SHA-256 of the keys that open admin calls. Thread-safe.
class admin_keys {
public:
    /// `key` is the one that has no name; empty for none. The texts of keys are overwritten.
    admin_keys(std::string key, std::vector<named_admin> named) {
        if (!key.empty()) unnamed_.push_back({std::string(admin_actor), digest_of_key(key)});
        replace_named(std::move(named));
    }

    /// Puts other named keys in the place of those before, which open nothing from then on.
    void replace_named(std::vector<named_admin> named) {
        auto all = unnamed_;
        for (auto& admin : named)
            if (!admin.key.empty())
                all.push_back({actor_of_admin(admin.name), digest_of_key(admin.key)});
        auto ready = std::make_shared<const std::vector<entry>>(std::move(all));
        const std::lock_guard lock(mutex_);
        entries_ = std::move(ready);
    }

    /// The actor that calls with this key have; nothing if it is nobody's. The key is compared with
    /// all, each in constant time.
    [[nodiscard]] std::optional<std::string> actor_of(std::string_view key) const {
        const auto hash = crypto::sha256(key);
        const auto entries = present();
        const entry* found = nullptr;
        for (const auto& admin : *entries)
            if (crypto::equal_constant_time(hash, admin.hash)) found = &admin;
        return found == nullptr ? std::nullopt : std::optional(found->actor);
    }

private:
    struct entry {
        std::string actor;
        sha256_digest hash;
    };

    static sha256_digest digest_of_key(std::string& key) {
        const auto hash = crypto::sha256(key);
        OPENSSL_cleanse(key.data(), key.size());
        return hash;
    }

    [[nodiscard]] std::shared_ptr<const std::vector<entry>> present() const {
        const std::lock_guard lock(mutex_);
        return entries_;
    }

    std::vector<entry> unnamed_; ///< At most one.
    mutable std::mutex mutex_;
    std::shared_ptr<const std::vector<entry>> entries_;
};

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
