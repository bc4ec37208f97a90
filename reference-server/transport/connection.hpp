#pragma once

#include "byte_stream.hpp"
#include "client_address.hpp"
#include "connection_lists.hpp"
#include "event_loop.hpp"
#include "reply_writer.hpp"
#include "request_reader.hpp"

#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/text_stream.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace roundhouse::server {

class http_loop;

/// A reply whose body comes in pieces.
struct streamed_reply {
    text_stream_ptr pieces;
    reply_framing framing = reply_framing::chunked;
    bool follows = false; ///< It is ended with the client's side, and at the server's stop.
    bool asked = false;   ///< A piece is being waited for.
};

/// One connection of a client. It handles one request at a time: while a reply is outstanding, the
/// requests behind it are not read, so that the client is slowed down by its own socket. Belongs to
/// the thread of its loop.
class connection final : public std::enable_shared_from_this<connection>, private event_handler {
public:
    /// `client` is empty if it has no share of the connections.
    connection(http_loop& loop, byte_stream stream, client_address address,
               std::optional<client_address> client);
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    /// Begins to serve. Throws `std::system_error`.
    void start();
    /// Sends the reply to the request that is being handled.
    void answer(http::reply reply);
    /// Closes it now if nothing is under way, else after the reply.
    void drain();
    /// Sends the next piece of the reply's body.
    void take_piece(result<std::string> piece);
    /// Closes it at once, and gives back its place.
    void close() noexcept;

    [[nodiscard]] const std::optional<client_address>& client() const noexcept { return client_; }

    list_place place; ///< Belongs to `connection_lists`.

private:
    void on_events(std::uint32_t events) override;
    void receive();
    void go_on_later();
    template <class Step> void or_close(const Step& step);
    [[nodiscard]] bool may_take_request() const noexcept;
    void consume(std::string_view input);
    void handle();
    [[nodiscard]] std::optional<std::string> forwarded_client() const;
    std::optional<http::reply> ask_handler(const http::request& request);
    void refuse();
    void append(const http::reply& reply);
    void begin_stream(const http::reply& reply, reply_framing framing);
    void ask_for_piece();
    void end_stream();
    void send_delayed(http::reply reply);
    [[nodiscard]] bool flush();
    /// Sends what can be sent, handles what has been read already, and waits for what comes next.
    void go_on();
    void end();
    void wait_as(waiting_for what) noexcept;

    http_loop& loop_;
    byte_stream stream_;
    const std::optional<client_address> client_;
    const bool trusted_; ///< The client is a proxy.
    const std::string address_text_;
    request_reader reader_;
    std::string unread_; ///< Bytes that were received behind a request that is being handled.
    std::string out_;
    std::size_t sent_ = 0;                     ///< Of `out_`.
    std::unique_ptr<streamed_reply> streamed_; ///< Null between and for whole replies.

    bool readable_ = false;    ///< There may be something to receive.
    bool end_arrived_ = false; ///< The client has ended the connection, or its sending side.
    bool goes_on_later_ = false;
    bool handling_ = false;
    bool head_only_ = false;    ///< The request that is being handled is HEAD.
    bool takes_chunks_ = true;  ///< It is not HTTP/1.0.
    bool last_request_ = false; ///< The connection ends after the reply.
    bool asked_for_body_ = false;
    bool progressed_ = false;   ///< A request was read to its end since the lists were told.
    bool client_ended_ = false; ///< The client sends nothing more; it may still receive.
    bool lingering_ = false;
    bool closed_ = false;
};

} // namespace roundhouse::server
