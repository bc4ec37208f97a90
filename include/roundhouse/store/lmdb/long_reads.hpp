#pragma once

#include <roundhouse/version.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// A lock that long reads share, and that the writer holds alone while it exchanges the map. The
/// writer goes first: it holds new reads off as soon as it waits. With std::shared_mutex, readers
/// may overtake a waiting writer for ever.
class long_reads {
public:
    /// Held by a long read.
    class shared {
    public:
        explicit shared(long_reads& lock) : lock_(lock) {
            std::unique_lock guard(lock_.mutex_);
            lock_.changed_.wait(guard, [&] { return !lock_.barred_; });
            ++lock_.running_;
        }
        ~shared() {
            const std::lock_guard guard(lock_.mutex_);
            if (--lock_.running_ == 0) lock_.changed_.notify_all();
        }
        shared(const shared&) = delete;
        shared& operator=(const shared&) = delete;

    private:
        long_reads& lock_;
    };

    /// Held by the writer; one at a time. No long read runs while it exists.
    class none {
    public:
        explicit none(long_reads& lock) : lock_(lock) {
            std::unique_lock guard(lock_.mutex_);
            lock_.barred_ = true;
            lock_.changed_.wait(guard, [&] { return lock_.running_ == 0; });
        }
        ~none() {
            const std::lock_guard guard(lock_.mutex_);
            lock_.barred_ = false;
            lock_.changed_.notify_all();
        }
        none(const none&) = delete;
        none& operator=(const none&) = delete;

    private:
        long_reads& lock_;
    };

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t running_ = 0;
    bool barred_ = false;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
