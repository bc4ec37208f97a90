#pragma once

#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/data_transfer.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/backend/docker/volumes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::docker {

/// The containers that are made to reach a volume. They are never started: the daemon reads and
/// writes the volumes of one that was only created. Their names say how far a copy has come, because
/// a container can be renamed and a volume cannot.
namespace reacher {
inline constexpr std::string_view copying = "engine-copying-"; ///< The copy is not whole.
inline constexpr std::string_view copied = "engine-copied-";   ///< It is.
/// It is, and the data is being replaced with it.
inline constexpr std::string_view restoring = "engine-restoring-";
/// Not of the copy: of the volume of the data that is being replaced.
inline constexpr std::string_view refilling = "engine-refilling-";

[[nodiscard]] inline std::string name_of(std::string_view stage, const uuid& engine) {
    return std::string{stage} + short_id(engine);
}

/// Whether a container of that name is of no use once what made it has ended.
[[nodiscard]] inline bool is_left_over(std::string_view name) {
    return name.starts_with(copying) || name.starts_with(refilling);
}
} // namespace reacher

/// The copies of engines' data, each in a volume `engine-copy-<short id>`. While it is whole a
/// container uses it, so that it is no unused volume, nor its image an unused one, for those who
/// remove these. The arguments of the coroutines must outlive them. Thread-safe, one call at a time
/// for an engine.
class engine_copies {
public:
    /// The arguments must outlive it.
    engine_copies(std::shared_ptr<docker::daemon> daemon, engine_volumes& volumes,
                  const docker_options& options)
        : daemon_(std::move(daemon)), volumes_(volumes), options_(options) {}

    /// Copies the data that a container has at /data, which does not run. Without `max_bytes` there is
    /// no bound. False, with no copy left, if the data as an archive is larger.
    asio::awaitable<result<bool>> copy(const uuid& engine, const container& present,
                                       std::optional<std::uint64_t> max_bytes) {
        auto clearing = remove(engine);
        if (const auto cleared = co_await std::move(clearing); !cleared)
            co_return unexpected{cleared.error()};
        auto filling = fill(engine, present, max_bytes);
        auto filled = co_await std::move(filling);
        if (filled && *filled) co_return filled;
        // What cannot be removed is no copy, and is replaced by the next one.
        auto undoing = remove(engine);
        static_cast<void>(co_await std::move(undoing));
        co_return filled;
    }

    /// The container that reaches the whole copy; empty if there is none.
    asio::awaitable<result<std::optional<container>>> find(const uuid& engine) {
        auto asking = volumes_.has_copy(engine);
        const auto there = co_await std::move(asking);
        if (!there) co_return unexpected{there.error()};
        if (!*there) co_return std::optional<container>{};
        auto looking_first = inspect(reacher::restoring, engine);
        auto found = co_await std::move(looking_first);
        if (!found || *found) co_return found;
        auto looking = inspect(reacher::copied, engine);
        co_return co_await std::move(looking);
    }

    /// Whether a restoring has begun and not ended.
    asio::awaitable<result<bool>> is_restoring(const uuid& engine) {
        auto asking = volumes_.has_copy(engine);
        const auto there = co_await std::move(asking);
        if (!there || !*there) co_return there;
        auto looking = inspect(reacher::restoring, engine);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        co_return found->has_value();
    }

    /// Notes that the data is about to be lost. `source` is what `find` has found.
    asio::awaitable<result<void>> begin_restoring(const uuid& engine, const container& source) {
        return rename(source.id, reacher::name_of(reacher::restoring, engine));
    }

    /// Replaces the data, whose volume no container may use any more, with the copy, and removes that.
    asio::awaitable<result<void>> refill(const uuid& engine, const container& source) {
        auto clearing = remove_one(reacher::refilling, engine);
        if (const auto done = co_await std::move(clearing); !done) co_return done;
        auto emptying = volumes_.remove(engine);
        if (const auto done = co_await std::move(emptying); !done) co_return done;
        auto labels = *source.made;
        labels.copy = false;
        labels.restored = true;
        auto making = volumes_.ensure(engine, volume_of(engine), labels);
        if (const auto made = co_await std::move(making); !made) co_return unexpected{made.error()};
        auto reaching = reach(reacher::refilling, *source.made, source.image, volume_of(engine));
        const auto target = co_await std::move(reaching);
        if (!target) co_return unexpected{target.error()};
        data_transfer transfer{*daemon_, source.id, *target, options_.call_timeout};
        auto moving = transfer.make(std::nullopt);
        if (const auto moved = co_await std::move(moving); !moved)
            co_return unexpected{moved.error()};
        auto removing = remove(engine);
        co_return co_await std::move(removing);
    }

    /// Removes the copy, whole or not, and what reaches it.
    asio::awaitable<result<void>> remove(const uuid& engine) {
        auto asking = volumes_.has_copy(engine);
        const auto there = co_await std::move(asking);
        if (!there) co_return unexpected{there.error()};
        // The volume is there for as long as a container uses it.
        if (!*there) co_return result<void>{};
        for (const auto stage :
             {reacher::refilling, reacher::copying, reacher::copied, reacher::restoring}) {
            auto removing = remove_one(stage, engine);
            if (const auto done = co_await std::move(removing); !done) co_return done;
        }
        auto removing = volumes_.remove_copy(engine);
        co_return co_await std::move(removing);
    }

private:
    asio::awaitable<result<bool>> fill(const uuid& engine, const container& present,
                                       std::optional<std::uint64_t> max_bytes) {
        auto labels = *present.made;
        labels.copy = true;
        auto making = volumes_.ensure(engine, copy_volume_of(engine), labels);
        if (const auto made = co_await std::move(making); !made) co_return unexpected{made.error()};
        auto reaching = reach(reacher::copying, labels, present.image, copy_volume_of(engine));
        const auto target = co_await std::move(reaching);
        if (!target) co_return unexpected{target.error()};
        data_transfer transfer{*daemon_, present.id, *target, options_.call_timeout};
        auto moving = transfer.make(max_bytes);
        auto moved = co_await std::move(moving);
        if (!moved || !*moved) co_return moved;
        auto renaming = rename(*target, reacher::name_of(reacher::copied, engine));
        if (const auto renamed = co_await std::move(renaming); !renamed)
            co_return unexpected{renamed.error()};
        co_return true;
    }

    /// The container of a stage, if this installation made it.
    asio::awaitable<result<std::optional<container>>> inspect(std::string_view stage,
                                                              const uuid& engine) {
        auto looking = inspect_named(*daemon_, reacher::name_of(stage, engine), options_.network);
        auto found = co_await std::move(looking);
        if (found && *found &&
            (!(*found)->made || !(*found)->made->copy ||
             (*found)->made->installation_id != options_.installation_id ||
             (*found)->made->ref.engine_id != engine))
            found->reset();
        co_return found;
    }

    asio::awaitable<result<void>> remove_one(std::string_view stage, const uuid& engine) {
        auto looking = inspect(stage, engine);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (!*found) co_return result<void>{};
        auto removing = remove_container(*daemon_, reacher::name_of(stage, engine), (*found)->id);
        co_return co_await std::move(removing);
    }

    asio::awaitable<result<void>> rename(std::string id, std::string name) {
        auto calling = daemon_->call("POST", "/containers/" + id + "/rename?name=" + name);
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 204) co_return daemon::refused("cannot rename a container", *answer);
        co_return result<void>{};
    }

    /// Makes a container with a volume at /data, and returns its id.
    asio::awaitable<result<std::string>> reach(std::string_view stage, marks labels,
                                               std::string image, std::string volume) {
        labels.copy = true;
        const auto name = reacher::name_of(stage, labels.ref.engine_id);
        auto calling = daemon_->call("POST", "/containers/create?name=" + name,
                                     describe_reacher(labels, image, volume));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 201) co_return daemon::refused("cannot make " + name, *answer);
        const auto read = read_json(answer->body);
        if (!read) co_return unexpected{read.error()};
        auto id = text_at((*read)->root, "/Id");
        if (id.empty())
            co_return fail(errc::backend_error, "Docker's answer about " + name + " has no Id");
        co_return id;
    }

    const std::shared_ptr<docker::daemon> daemon_;
    engine_volumes& volumes_;
    const docker_options& options_;
};

} // namespace detail::docker
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
