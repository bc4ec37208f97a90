#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/text_stream.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace roundhouse_tests {

/// The pieces of a stream, which a test hands out. Thread-safe.
class pushed_pieces {
public:
    /// An empty text ends the stream.
    void push(roundhouse::result<std::string> piece) {
        roundhouse::completion<std::string> waits;
        {
            const std::lock_guard lock(mutex_);
            if (!waiting_) return pieces_.push_back(std::move(piece));
            waits = std::exchange(waiting_, nullptr);
        }
        waits(std::move(piece));
    }

    /// How often a piece was asked for.
    [[nodiscard]] std::size_t asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }
    void wait_until_asked(std::size_t times) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return asked_ >= times; });
    }
    bool is_asked_within(std::size_t times, std::chrono::milliseconds time) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, time, [&] { return asked_ >= times; });
    }
    /// Waits until the stream has been destroyed.
    void wait_until_dropped() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return dropped_; });
    }

    static std::shared_ptr<pushed_pieces> make() { return std::make_shared<pushed_pieces>(); }

private:
    friend class pushed_stream;

    void ask(roundhouse::completion<std::string> done) {
        std::unique_lock lock(mutex_);
        ++asked_;
        changed_.notify_all();
        if (pieces_.empty()) {
            waiting_ = std::move(done);
            return;
        }
        auto piece = std::move(pieces_.front());
        pieces_.pop_front();
        lock.unlock();
        done(std::move(piece));
    }
    void drop() {
        roundhouse::completion<std::string> waits;
        {
            const std::lock_guard lock(mutex_);
            dropped_ = true;
            waits = std::exchange(waiting_, nullptr);
            changed_.notify_all();
        }
        if (waits) waits(roundhouse::fail(roundhouse::errc::cancelled, "dropped"));
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<roundhouse::result<std::string>> pieces_;
    roundhouse::completion<std::string> waiting_;
    std::size_t asked_ = 0;
    bool dropped_ = false;
};

class pushed_stream final : public roundhouse::text_stream {
public:
    explicit pushed_stream(std::shared_ptr<pushed_pieces> pieces) : pieces_(std::move(pieces)) {}
    ~pushed_stream() override { pieces_->drop(); }

    void next(roundhouse::completion<std::string> done) override { pieces_->ask(std::move(done)); }

private:
    const std::shared_ptr<pushed_pieces> pieces_;
};

} // namespace roundhouse_tests
