#pragma once

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace demo_engine {

using key_hash = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

/// Reads 64 lower-case hex digits; nothing if the text is anything else.
inline std::optional<key_hash> parse_key_hash(std::string_view text) {
    key_hash hash{};
    if (text.size() != hash.size() * 2 ||
        text.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < hash.size(); ++i) {
        const char* digits = text.data() + 2 * i;
        std::from_chars(digits, digits + 2, hash[i], 16);
    }
    return hash;
}

/// Checks the engine key, of which it knows the SHA-256 only. Thread-safe.
class key_lock {
public:
    explicit key_lock(const key_hash& hash) : hash_{hash} {}

    bool opens_with(std::string_view key) const {
        const auto presented = hash_of(key);
        const std::lock_guard lock{mutex_};
        return same(presented, hash_);
    }

    /// Replaces the accepted key by the key whose hash is `next`, and returns true, if `key` is the
    /// accepted key. Of two rotations with the same key, one fails.
    bool rotate(std::string_view key, const key_hash& next) {
        const auto presented = hash_of(key);
        const std::lock_guard lock{mutex_};
        if (!same(presented, hash_)) {
            return false;
        }
        hash_ = next;
        return true;
    }

private:
    static key_hash hash_of(std::string_view key) {
        key_hash hash{};
        SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), hash.data());
        return hash;
    }
    static bool same(const key_hash& a, const key_hash& b) {
        return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
    }

    mutable std::mutex mutex_;
    key_hash hash_;
};

/// Counts executions in a file. The count goes on after a restart, and in a new container on the
/// old volume, which shows that the volume survives. Thread-safe.
class execution_counter {
public:
    explicit execution_counter(std::filesystem::path file) : file_{std::move(file)} {}

    /// Counts an execution, and returns the new count once it is on the disk. Throws
    /// std::runtime_error or std::system_error, and counts nothing, if the file cannot be read or
    /// written.
    std::uint64_t increment() {
        const std::lock_guard lock{mutex_};
        const auto count = load() + 1;
        save(std::to_string(count) + '\n');
        return count;
    }

private:
    std::uint64_t load() const {
        if (!std::filesystem::exists(file_)) {
            return 0;
        }
        std::uint64_t count = 0;
        if (!(std::ifstream{file_} >> count)) {
            throw std::runtime_error{file_.string() +
                                     ": holds no count; remove it to start again from 0"};
        }
        return count;
    }

    /// Replaces the file with a rename, so that a reader, or the next start after a kill -9, finds
    /// the old count or the new one.
    void save(const std::string& text) const {
        auto next = file_;
        next += ".next";
        const int descriptor = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (descriptor < 0) {
            throw std::system_error{errno, std::generic_category(), next.string()};
        }
        const bool written = ::write(descriptor, text.data(), text.size()) ==
                                 static_cast<ssize_t>(text.size()) &&
                             ::fdatasync(descriptor) == 0;
        const int cause = errno;
        ::close(descriptor);
        if (!written) {
            throw std::system_error{cause, std::generic_category(), next.string()};
        }
        std::filesystem::rename(next, file_);
    }

    std::mutex mutex_;
    std::filesystem::path file_;
};

enum class condition : std::uint8_t { ok, sick, hang };

/// The answer of /health. Thread-safe.
class health_switch {
public:
    struct answer {
        condition state = condition::ok;
        bool busy = false;
    };

    void set(answer next) {
        const std::lock_guard lock{mutex_};
        answer_ = next;
        changed_.notify_all();
    }

    /// Returns the answer. Blocks while it is `hang`, as the handler of a hung engine does. At most
    /// `max_hung` callers are blocked, and the oldest return first: probes must not use up the
    /// threads that are needed to change the answer.
    answer read() {
        std::unique_lock lock{mutex_};
        const auto ticket = ++last_ticket_;
        changed_.notify_all();
        changed_.wait(lock, [&] {
            return answer_.state != condition::hang || last_ticket_ - ticket >= max_hung;
        });
        return answer_;
    }

private:
    static constexpr std::uint64_t max_hung = 16;

    std::mutex mutex_;
    std::condition_variable changed_;
    answer answer_;
    std::uint64_t last_ticket_ = 0;
};

/// Counts the requests between their arrival and their reply, both of which happen on one thread.
class in_flight_count {
public:
    void add() {
        counted_here = true;
        const std::lock_guard lock{mutex_};
        ++count_;
    }

    /// Does nothing for a request that was refused before it was counted.
    void remove() {
        if (std::exchange(counted_here, false)) {
            const std::lock_guard lock{mutex_};
            --count_;
            changed_.notify_all();
        }
    }

    void wait_until_none(std::chrono::milliseconds limit) {
        std::unique_lock lock{mutex_};
        changed_.wait_for(lock, limit, [this] { return count_ == 0; });
    }

private:
    static inline thread_local bool counted_here = false;

    std::mutex mutex_;
    std::condition_variable changed_;
    int count_ = 0;
};

} // namespace demo_engine
