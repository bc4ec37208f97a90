#pragma once

#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/backend/subprocess/data_copies.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/gradual_removal.hpp>
#include <roundhouse/backend/subprocess/supervisor.hpp>
#include <roundhouse/backend/subprocess/tree_copy.hpp>
#include <roundhouse/detail/run_on.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

ROUNDHOUSE_DECL asio::awaitable<result<bool>>
subprocess_backend::copy_data(const workload_ref& ref, std::optional<std::uint64_t> max_bytes) {
    auto work = do_copy_data(ref, max_bytes);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
subprocess_backend::restore_data(const workload_ref& ref) {
    auto work = do_restore_data(ref);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
subprocess_backend::drop_copy(const workload_ref& ref) {
    auto work = do_drop_copy(ref);
    return detail::run_on(supervisor_->own_strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::take_away(std::string parent,
                                                                            uuid engine) {
    const auto taken = supervisor_->trash().take(parent, to_string(engine));
    if (!taken) co_return unexpected{taken.error()};
    if (*taken) co_return result<void>{};
    auto removing = detail::subprocess::remove_gradually(parent + '/' + to_string(engine));
    auto elsewhere = detail::run_on(supervisor_->removals(), std::move(removing));
    co_return co_await std::move(elsewhere);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::remove_copies_of(uuid engine) {
    auto removing_whole = take_away(supervisor_->copies().whole(), engine);
    if (const auto removed = co_await std::move(removing_whole); !removed) co_return removed;
    auto removing_part = take_away(supervisor_->copies().parts(), engine);
    co_return co_await std::move(removing_part);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::require_ended(uuid engine) {
    auto settling = supervisor_->settle();
    const auto settled = co_await std::move(settling);
    if (!settled) co_return settled;
    const auto found = supervisor_->find(engine);
    if (!found) co_return unexpected{found.error()};
    // A process of an earlier server that has ended is found until its parent has waited for it.
    if (*found && !detail::subprocess::has_ended((*found)->pidfd()))
        co_return fail(errc::backend_error,
                       "engine " + to_string(engine) + " still runs: stop it first");
    co_return result<void>{};
}

ROUNDHOUSE_DECL asio::awaitable<result<bool>>
subprocess_backend::do_copy_data(workload_ref ref, std::optional<std::uint64_t> max_bytes) {
    auto checking = require_ended(ref.engine_id);
    if (const auto checked = co_await std::move(checking); !checked)
        co_return unexpected{checked.error()};
    auto copying = copy_folder_of(ref.engine_id, max_bytes);
    auto elsewhere = detail::run_on(supervisor_->own_strand(), std::move(copying));
    co_return co_await std::move(elsewhere);
}

ROUNDHOUSE_DECL asio::awaitable<result<bool>>
subprocess_backend::copy_folder_of(uuid engine, std::optional<std::uint64_t> max_bytes) {
    const auto& copies = supervisor_->copies();
    if (const auto mended = copies.mend(engine); !mended) co_return unexpected{mended.error()};
    auto clearing = remove_copies_of(engine);
    if (const auto cleared = co_await std::move(clearing); !cleared)
        co_return unexpected{cleared.error()};
    const auto data = supervisor_->folder_of(engine);
    if (!detail::subprocess::exists(data)) co_return false;
    const auto part = copies.begin(engine);
    if (!part) co_return unexpected{part.error()};
    auto copying = copy_tree(data, *part, max_bytes);
    auto elsewhere = detail::run_on(supervisor_->copying(), std::move(copying));
    auto copied = co_await std::move(elsewhere);
    if (copied && *copied) {
        const auto finished = copies.finish(engine);
        if (finished) co_return copied;
        copied = unexpected{finished.error()};
    }
    // What cannot be removed is no copy, and is replaced by the next one.
    auto removing = take_away(copies.parts(), engine);
    static_cast<void>(co_await std::move(removing));
    co_return copied;
}

ROUNDHOUSE_DECL asio::awaitable<result<bool>>
subprocess_backend::copy_tree(std::string from, std::string to,
                              std::optional<std::uint64_t> max_bytes) {
    detail::subprocess::tree_copy copy{std::move(from), std::move(to), max_bytes};
    auto copying = copy.make();
    co_return co_await std::move(copying);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
subprocess_backend::do_restore_data(workload_ref ref) {
    auto checking = require_ended(ref.engine_id);
    if (const auto checked = co_await std::move(checking); !checked) co_return checked;
    auto restoring = restore_folder_of(ref.engine_id);
    auto elsewhere = detail::run_on(supervisor_->own_strand(), std::move(restoring));
    co_return co_await std::move(elsewhere);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::restore_folder_of(uuid engine) {
    const auto& copies = supervisor_->copies();
    if (!copies.has(engine)) co_return result<void>{};
    auto removing = take_away(supervisor_->engines(), engine);
    if (const auto removed = co_await std::move(removing); !removed) co_return removed;
    co_return copies.put_back(engine);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::do_drop_copy(workload_ref ref) {
    if (const auto mended = supervisor_->copies().mend(ref.engine_id); !mended) co_return mended;
    auto removing = remove_copies_of(ref.engine_id);
    co_return co_await std::move(removing);
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
