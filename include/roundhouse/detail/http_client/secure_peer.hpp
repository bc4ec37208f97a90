#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/error_code.hpp>

#include <cstddef>
#include <memory>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// How a connection was opened: with `failed` set, not at all.
struct channel_opening {
    asio::error_code failed;
    std::string
        step; ///< That failed, for people, as the begin of a sentence that ends in the cause.
};

struct channel_reading {
    asio::error_code failed; ///< `asio::error::eof` once the peer has ended its side.
    std::size_t size = 0;
};

/// One encrypted connection. The coroutines run on the strand that it was made for, one at a time,
/// and can be cancelled with type `terminal`; it must outlive them. A cancelled one, and one that
/// `close` has ended, fails with `asio::error::operation_aborted`.
class secure_channel {
public:
    secure_channel() = default;
    secure_channel(const secure_channel&) = delete;
    secure_channel& operator=(const secure_channel&) = delete;
    virtual ~secure_channel() = default;

    /// Connects, and proves the peer to be the one that is meant.
    [[nodiscard]] virtual asio::awaitable<channel_opening> open() = 0;
    [[nodiscard]] virtual asio::awaitable<asio::error_code> write(asio::const_buffer bytes) = 0;
    [[nodiscard]] virtual asio::awaitable<channel_reading> read_some(asio::mutable_buffer into) = 0;

    /// Ends the operation that is under way, and all later ones.
    virtual void close() = 0;
};

/// A peer that is reached over encrypted connections. An interface, so that users of plain sockets
/// compile nothing of the encryption. Thread-safe.
class secure_peer {
public:
    secure_peer() = default;
    secure_peer(const secure_peer&) = delete;
    secure_peer& operator=(const secure_peer&) = delete;
    virtual ~secure_peer() = default;

    /// `host:port`, as in the header Host.
    [[nodiscard]] virtual const std::string& name() const noexcept = 0;

    /// A connection that is not open yet. `watch` is `http_limits::watch_peer`. The channel may
    /// outlive the peer.
    [[nodiscard]] virtual std::unique_ptr<secure_channel>
    make_channel(const asio::any_io_executor& strand, bool watch) const = 0;
};

using secure_peer_ptr = std::shared_ptr<const secure_peer>;

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
