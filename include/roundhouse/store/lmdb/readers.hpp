#pragma once

#include <roundhouse/version.hpp>

#include <lmdb.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// A read transaction that is kept and renewed, since to begin one costs more than most reads.
struct alignas(64) reader {
    std::atomic<bool> taken = false;
    MDB_txn* txn = nullptr; ///< Whoever has taken it may use it.

    /// Sees the last commit from here on. Returns LMDB's code.
    int begin(MDB_env* env) {
        if (txn == nullptr) return mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn);
        const int code = mdb_txn_renew(txn);
        if (code != MDB_SUCCESS) mdb_txn_abort(std::exchange(txn, nullptr));
        return code;
    }

    /// What was read is gone; the transaction is kept.
    void leave() noexcept {
        if (txn != nullptr) mdb_txn_reset(txn); // or the pages that it saw could not be used again
        taken.store(false);
        taken.notify_all();
    }
};

/// The readers of one environment. A thread comes back to the one that it had last, so that no two
/// touch the same memory; and all can be held off for the moment in which the map is exchanged.
class readers {
public:
    /// A reader for the caller alone, until it leaves. Waits only during a pause.
    [[nodiscard]] reader& enter() {
        const auto first = std::hash<std::thread::id>{}(std::this_thread::get_id()) *
                               0x9E3779B97F4A7C15ULL >>
                           56U;
        for (std::size_t i = first;; ++i) {
            auto& one = all_[i % all_.size()];
            if (one.taken.exchange(true)) continue;
            // In this order, and in the opposite one in `pause`: one of the two sees the other.
            if (!paused_.load()) return one;
            one.taken.store(false);
            one.taken.notify_all();
            paused_.wait(true);
        }
    }

    /// Nobody reads while it lives. One at a time.
    class pause {
    public:
        explicit pause(readers& over) : over_(over), lock_(over.pauses_) {
            over_.paused_.store(true);
            for (auto& one : over_.all_) one.taken.wait(true);
        }
        ~pause() {
            over_.paused_.store(false);
            over_.paused_.notify_all();
        }
        pause(const pause&) = delete;
        pause& operator=(const pause&) = delete;

    private:
        readers& over_;
        const std::lock_guard<std::mutex> lock_;
    };

    /// Ends the transactions that are kept. Nobody may read.
    void end_all() noexcept {
        for (auto& one : all_)
            if (one.txn != nullptr) mdb_txn_abort(std::exchange(one.txn, nullptr));
    }

private:
    std::array<reader, 256> all_;
    std::atomic<bool> paused_ = false;
    std::mutex pauses_;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
