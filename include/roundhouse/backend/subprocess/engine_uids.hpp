#pragma once

#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/isolation.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/uids.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <unistd.h>

#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Which engine has which user. What lies on the disk says it: the engine's identity file, and the
/// owner of its data folder. Used on the supervisor's strand only.
class engine_uids {
public:
    /// `range` may be empty: then engines get no users, but those that have one keep it.
    engine_uids(std::string engines, std::string workloads, const uid_range& range)
        : engines_{std::move(engines)},
          workloads_{std::move(workloads)},
          range_{range},
          pool_{range} {}

    [[nodiscard]] const uid_range& range() const noexcept { return range_; }

    /// The user that an engine has for itself; 0 if it has none.
    [[nodiscard]] uid_t of(const uuid& engine) const {
        const auto name = '/' + to_string(engine);
        const auto identity = read_identity(workloads_ + name + '/' + identity_name, engine);
        const auto known = identity && *identity ? (*identity)->uid : 0;
        const auto owner = owner_of(engines_ + name);
        if (!owner || *owner == ::geteuid()) return is_usable(known) ? known : 0;
        const bool is_engines = *owner == known || range_.contains(*owner) ||
                                default_engine_uids.contains(*owner); // or of an earlier range
        return is_engines && is_usable(*owner) ? *owner : 0;
    }

    /// Whether a user can be an engine's. One of an earlier range may be somebody's account by now.
    [[nodiscard]] bool is_usable(uid_t uid) const {
        return uid != 0 && uid != killer_of(range_) &&
               (range_.contains(uid) || !has_account_in("/etc/passwd", {uid, uid}));
    }

    /// Learns which users are taken. To be called before the first `choose`.
    [[nodiscard]] result<void> mark_all() {
        const auto engines = engines_in_either(engines_, workloads_); // one may have lost its data
        if (!engines) return unexpected{engines.error()};
        for (const auto& engine : *engines)
            if (const auto uid = of(engine); uid != 0) pool_.mark(uid);
        return {};
    }

    /// The user that an engine is to run as, which is its own from now on: the one that it has, or a
    /// free one. 0: this program's. Fails if the engine's data folder belongs to somebody else.
    [[nodiscard]] result<uid_t> choose(const uuid& engine) {
        const auto folder = engines_ + '/' + to_string(engine);
        const auto owner = owner_of(folder);
        const auto known = of(engine);
        if (owner && *owner != ::geteuid() && *owner != known)
            return fail(errc::backend_error,
                        folder + " belongs to user " + std::to_string(*owner) +
                            ", who is neither this server's nor one of its engines': give it, and "
                            "all in it, to user " +
                            std::to_string(::geteuid()));
        if (known != 0 && (owner == known || range_.contains(known))) {
            pool_.mark(known);
            return known;
        }
        if (range_.empty()) return uid_t{0};
        return pool_.take();
    }

    /// After a failed start, and once an engine is destroyed: `uid`, which was the engine's, is free
    /// unless the engine still has it. What it has left in shared memory must be removed by then:
    /// the next engine with it must not find that.
    void release(const uuid& engine, uid_t uid) {
        if (uid != 0 && of(engine) != uid) pool_.give_back(uid);
    }

private:
    const std::string engines_;
    const std::string workloads_;
    const uid_range range_;
    uid_pool pool_;
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
