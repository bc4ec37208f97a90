#pragma once

#include <roundhouse/detail/thread_hash.hpp>
#include <roundhouse/version.hpp>

#include <lmdb.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// A read transaction that is kept and renewed, because beginning one costs more than most reads.
struct alignas(64) reader {
    std::atomic<bool> taken = false;
    MDB_txn* txn = nullptr; ///< Used only by the thread that has taken the reader.

    /// Makes the transaction see the last commit. Returns LMDB's code.
    int begin(MDB_env* env) {
        for (;;) {
            const int code = renew(env);
            if (code != MDB_SUCCESS || sees_its_own_commit(env)) return code;
            mdb_txn_reset(txn);
        }
    }

    /// Ends the read, and keeps the transaction.
    void leave() noexcept {
        if (txn != nullptr) mdb_txn_reset(txn); // or LMDB could not reuse the pages that it saw
        taken.store(false);
        taken.notify_all();
    }

private:
    int renew(MDB_env* env) {
        if (txn == nullptr) return mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn);
        const int code = mdb_txn_renew(txn);
        if (code != MDB_SUCCESS) mdb_txn_abort(std::exchange(txn, nullptr));
        return code;
    }

    /// False if the transaction may have read the meta page of a commit that has not returned yet.
    /// LMDB writes a commit's meta page over that of the last but one, syncs it, and only then
    /// publishes the commit's id. A reader that is preempted between reading the id and copying the
    /// page can therefore be one commit ahead, and its next read would be behind it.
    [[nodiscard]] bool sees_its_own_commit(MDB_env* env) const {
        MDB_envinfo info{};
        mdb_env_info(env, &info); // fails only without an environment
        return info.me_last_txnid <= mdb_txn_id(txn) + 1;
    }
};

/// The readers of one environment. A thread prefers the reader that it had last, so that threads
/// share no memory that they write. All readers can be held off while the map is exchanged.
class readers {
public:
    /// A reader for the calling thread alone, until it leaves. Waits only during a pause.
    [[nodiscard]] reader& enter() {
        const auto first = hash_of_this_thread() % slots_.size();
        for (std::size_t i = first;; ++i) {
            auto& slot = slots_[i % slots_.size()];
            if (slot.taken.exchange(true)) continue;
            // `pause` writes and reads the two flags in the opposite order, so that at least one
            // side sees the other.
            if (!paused_.load()) return slot;
            slot.taken.store(false);
            slot.taken.notify_all();
            paused_.wait(true);
        }
    }

    /// Keeps all readers out for as long as it lives. One at a time; waits for reads under way.
    class pause {
    public:
        explicit pause(readers& paused) : readers_(paused), lock_(paused.pauses_) {
            readers_.paused_.store(true);
            for (auto& slot : readers_.slots_) slot.taken.wait(true);
        }
        ~pause() {
            readers_.paused_.store(false);
            readers_.paused_.notify_all();
        }
        pause(const pause&) = delete;
        pause& operator=(const pause&) = delete;

    private:
        readers& readers_;
        const std::lock_guard<std::mutex> lock_;
    };

    /// Ends the kept transactions. No read may be under way.
    void end_all() noexcept {
        for (auto& slot : slots_)
            if (slot.txn != nullptr) mdb_txn_abort(std::exchange(slot.txn, nullptr));
    }

private:
    std::array<reader, 256> slots_;
    std::atomic<bool> paused_ = false;
    std::mutex pauses_;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
