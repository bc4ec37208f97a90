#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/error.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/error_code.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// Reports when files are written to (inotify(7)). Opens its descriptor with the first file. Used on
/// one strand.
class file_watch : public std::enable_shared_from_this<file_watch> {
public:
    /// `changed(number)` is called on the strand, with a number that `add` returned.
    file_watch(asio::any_io_executor strand, std::function<void(int)> changed)
        : strand_(std::move(strand)), changed_(std::move(changed)) {}

    /// Watches the file that has this path now, and no other that gets it later. Returns its number,
    /// which is the same for every path to the file; nothing if there is none.
    [[nodiscard]] result<std::optional<int>> add(const std::string& path) {
        if (!events_)
            if (auto opened = open(); !opened) return unexpected{opened.error()};
        const int number = ::inotify_add_watch(events_->native_handle(), path.c_str(),
                                               IN_MODIFY | IN_DONT_FOLLOW);
        if (number >= 0) return number;
        if (errno == ENOENT) return std::nullopt;
        if (errno == ENOSPC)
            return fail(errc::backend_error, "cannot watch " + path +
                                                 ": fs.inotify.max_user_watches is reached; raise "
                                                 "it with sysctl(8)");
        return failed("cannot watch " + path, errno);
    }

    void remove(int number) {
        if (events_) ::inotify_rm_watch(events_->native_handle(), number); // the file may be gone
    }

    /// Reports nothing more.
    void close() {
        asio::error_code ignored; // the descriptor is closed in either case
        if (events_) events_->close(ignored);
    }

private:
    result<void> open() {
        const int opened = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (opened < 0 && errno == EMFILE)
            return fail(errc::backend_error,
                        "cannot watch files: fs.inotify.max_user_instances or the limit of open "
                        "files is reached");
        if (opened < 0) return failed("cannot watch files", errno);
        events_.emplace(strand_, opened);
        wait();
        return {};
    }

    void wait() {
        events_->async_read_some(asio::buffer(buffer_),
                                 [weak = weak_from_this()](asio::error_code code, std::size_t n) {
                                     const auto self = weak.lock();
                                     if (!self || code) return; // closed
                                     self->report(n);
                                     if (self->events_->is_open()) self->wait();
                                 });
    }

    void report(std::size_t size) {
        for (std::size_t at = 0; at + sizeof(inotify_event) <= size;) {
            inotify_event event{};
            std::memcpy(&event, buffer_.data() + at, sizeof event);
            at += sizeof event + event.len;
            // After an overflow of the queue, events are lost: -1 stands for all files.
            changed_((event.mask & IN_Q_OVERFLOW) != 0 ? -1 : event.wd);
        }
    }

    const asio::any_io_executor strand_;
    const std::function<void(int)> changed_;
    std::optional<asio::posix::stream_descriptor> events_;
    std::array<char, 4096> buffer_{};
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
