#include "connection.hpp"

#include "characters.hpp"
#include "http_loop.hpp"
#include "reply_writer.hpp"

#include <asio/ip/address.hpp>
#include <sys/epoll.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

namespace roundhouse::server {

namespace {

/// One connection reads at most this often before the others have their turn.
constexpr int reads_in_a_row = 4;
constexpr int turns_in_a_row = 4;

http::reply internal_error_reply(std::string_view request_id) {
    return http::error_reply(error{errc::internal_error, {}, 0}, http::request_id_for(request_id));
}

/// A request that waits for its reply. Only the first reply is sent; without any, a 500 is.
class pending_reply {
public:
    pending_reply(std::shared_ptr<http_loop> loop, std::shared_ptr<connection> to)
        : loop_(std::move(loop)), to_(std::move(to)) {}
    pending_reply(const pending_reply&) = delete;
    pending_reply& operator=(const pending_reply&) = delete;
    ~pending_reply() {
        try {
            if (!answered_.load()) send(internal_error_reply({}));
        } catch (...) {
            // Out of memory: the connection's time limit ends it.
        }
    }

    /// Any thread.
    void send(http::reply reply) {
        if (answered_.exchange(true)) return;
        loop_->events().post([to = std::move(to_), reply = std::move(reply)]() mutable {
            to->answer(std::move(reply));
        });
    }

private:
    // In this order: the connection has a socket, which must be destroyed before its loop.
    std::shared_ptr<http_loop> loop_;
    std::shared_ptr<connection> to_;
    std::atomic<bool> answered_{false};
};

class channel final : public http::reply_channel {
public:
    channel(http_loop& loop, connection& to) noexcept : loop_(loop), to_(to) {}

    std::function<void(http::reply)> open() override {
        pending_ = std::make_shared<pending_reply>(loop_.shared_from_this(),
                                                   to_.shared_from_this());
        return [pending = pending_](http::reply reply) { pending->send(std::move(reply)); };
    }

    /// Null if the reply has not been put off.
    [[nodiscard]] const std::shared_ptr<pending_reply>& pending() const noexcept {
        return pending_;
    }

private:
    http_loop& loop_;
    connection& to_;
    std::shared_ptr<pending_reply> pending_;
};

} // namespace

connection::connection(http_loop& loop, byte_stream stream, client_address address,
                       std::optional<client_address> client)
    : loop_(loop),
      stream_(std::move(stream)),
      client_(client),
      trusted_(!client && !address.is_unix_socket()),
      address_text_(to_string(address)),
      reader_(loop.limits()) {}

/// Runs a step. After an exception, such as for lack of memory, replies could be lost or answer
/// other requests, so the connection is closed.
template <class Step> void connection::or_close(const Step& step) {
    try {
        step();
    } catch (...) {
        close();
        throw; // the loop goes on
    }
}

void connection::start() { loop_.events().add_connection(stream_.socket(), *this); }

void connection::on_events(std::uint32_t events) {
    const auto self = shared_from_this(); // it may be closed meanwhile
    // Reset, or ended by both sides: nothing can be sent any more.
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) return close();
    if ((events & EPOLLRDHUP) != 0) end_arrived_ = true;
    // TLS may have to send before it can receive.
    if ((events & (EPOLLIN | EPOLLRDHUP)) != 0 || stream_.handshaking()) readable_ = true;
    or_close([this] {
        // A client that has closed the connection looks like one that only sends nothing more.
        if (end_arrived_ && streamed_ && streamed_->follows) end_stream();
        go_on();
    });
}

/// Receives what there is, and handles it.
void connection::receive() {
    auto& buffer = loop_.read_buffer();
    for (int i = 0; i < reads_in_a_row && (lingering_ || may_take_request()); ++i) {
        const auto got = stream_.receive(buffer.data(), buffer.size());
        if (got.reached == byte_stream::outcome::failed) return close();
        if (got.reached == byte_stream::outcome::ended) client_ended_ = true;
        // What comes later is another event, but the end may have come with these bytes.
        if (got.emptied && (got.bytes == 0 || !end_arrived_)) readable_ = false;
        if (got.bytes > 0 && !lingering_) consume({buffer.data(), got.bytes});
        if (!readable_) return;
    }
}

/// Goes on after the other connections have had their turn.
void connection::go_on_later() {
    if (std::exchange(goes_on_later_, true)) return;
    loop_.events().post([self = shared_from_this()] {
        self->goes_on_later_ = false;
        if (!self->closed_) self->or_close([&] { self->go_on(); });
    });
}

bool connection::may_take_request() const noexcept {
    return !handling_ && !last_request_ && !closed_ &&
           out_.size() <= loop_.limits().max_unsent_bytes;
}

void connection::consume(std::string_view input) {
    while (!input.empty() && may_take_request()) {
        switch (reader_.read(input)) {
        case request_reader::progress::more:
            if (reader_.awaits_continue() && !std::exchange(asked_for_body_, true))
                out_.append(interim_continue);
            break;
        case request_reader::progress::whole: handle(); break;
        case request_reader::progress::refused: return refuse();
        }
    }
    if (!last_request_) unread_.append(input);
}

void connection::handle() {
    const auto& head = reader_.head();
    progressed_ = true;
    asked_for_body_ = false;
    last_request_ = !head.keep_alive || reader_.body_abandoned() || loop_.draining();
    http::request request;
    request.method = reader_.text(head.method);
    request.target = reader_.text(head.target);
    request.body_too_large = reader_.body_too_large();
    if (!request.body_too_large) request.body = reader_.body();
    request.platform_key = reader_.text(head.platform_key);
    request.admin_key = reader_.text(head.admin_key);
    request.authorization = reader_.text(head.authorization);
    request.request_id = reader_.text(head.request_id);
    request.strict = head.strict;
    if (head.has_if_match) request.if_match = reader_.text(head.if_match);
    if (head.has_idempotency_key) request.idempotency_key = reader_.text(head.idempotency_key);
    const auto forwarded = forwarded_client();
    request.client = forwarded ? std::string_view(*forwarded) : address_text_;
    head_only_ = request.method == "HEAD";
    takes_chunks_ = !head.http_1_0;
    auto reply = ask_handler(request);
    reader_.begin_next();
    if (!reply) handling_ = true;
    else if (reply->delay > std::chrono::milliseconds{0}) send_delayed(std::move(*reply));
    else append(*reply);
}

/// The client that a trusted proxy names: the last address of `X-Forwarded-For`, which the proxy
/// itself has added. Nothing if this connection is no proxy's.
std::optional<std::string> connection::forwarded_client() const {
    if (!trusted_) return std::nullopt;
    const auto list = reader_.text(reader_.head().forwarded_for);
    const auto comma = list.rfind(',');
    const auto last = trimmed(comma == list.npos ? list : list.substr(comma + 1));
    const auto address = client_address::parse(last);
    return address ? std::optional(to_string(*address)) : std::nullopt;
}

/// Returns nothing if the reply comes later.
std::optional<http::reply> connection::ask_handler(const http::request& request) {
    channel later(loop_, *this);
    std::optional<http::reply> reply;
    try {
        reply = loop_.handler()(request, later);
        if (!reply && !later.pending()) reply = internal_error_reply(request.request_id);
    } catch (const std::exception& problem) {
        loop_.warn(warning_kind::failed_call, std::string("a call failed: ") + problem.what());
        reply = internal_error_reply(request.request_id);
    } catch (...) {
        loop_.warn(warning_kind::failed_call, "a call failed in an unknown way");
        reply = internal_error_reply(request.request_id);
    }
    if (!later.pending() || !reply) return reply;
    later.pending()->send(std::move(*reply)); // not sent if another reply was
    return std::nullopt;
}

void connection::refuse() {
    last_request_ = true;
    head_only_ = reader_.text(reader_.head().method) == "HEAD";
    const auto message = message_of(reader_.fault());
    if (message.empty()) out_.append(bare_bad_request);
    else
        append(http::error_reply(400, code_name(errc::invalid_request), message,
                                 http::request_id_for(reader_.text(reader_.head().request_id))));
}

void connection::append(const http::reply& reply) {
    const auto framing = !reply.stream   ? reply_framing::length
                         : takes_chunks_ ? reply_framing::chunked
                                         : reply_framing::until_close;
    if (framing == reply_framing::until_close) last_request_ = true;
    loop_.lend_buffer(out_);
    append_reply(out_, reply,
                 {.date = loop_.date(),
                  .keep_alive = !last_request_,
                  .head_only = head_only_,
                  .framing = framing});
    if (reply.stream && !head_only_) begin_stream(reply, framing);
}

/// Begins to send a body that comes in pieces. No further request is taken until its end.
void connection::begin_stream(const http::reply& reply, reply_framing framing) {
    handling_ = true;
    streamed_ = std::make_unique<streamed_reply>(
        streamed_reply{reply.stream, framing, reply.follows});
    if (reply.follows && (end_arrived_ || loop_.draining())) end_stream();
}

/// Asks for the next piece once the client has taken the one before.
void connection::ask_for_piece() {
    if (!streamed_ || std::exchange(streamed_->asked, true)) return;
    streamed_->pieces->next(
        [loop = loop_.weak_from_this(), to = weak_from_this()](result<std::string> piece) {
            const auto alive = loop.lock();
            if (!alive) return;
            alive->events().post([to, piece = std::move(piece)]() mutable {
                if (const auto one = to.lock()) one->take_piece(std::move(piece));
            });
        });
}

void connection::take_piece(result<std::string> piece) {
    if (closed_ || !streamed_) return;
    streamed_->asked = false;
    progressed_ = true;
    if (!piece) {
        loop_.warn(warning_kind::cut_off_reply, "a reply was cut off: " + piece.error().message);
        return close();
    }
    or_close([&] {
        loop_.lend_buffer(out_);
        if (piece->empty()) end_stream();
        else if (streamed_->framing == reply_framing::chunked) append_chunk(out_, *piece);
        else out_.append(*piece);
        go_on();
    });
}

/// Sends the end of the body, whether or not there is more.
void connection::end_stream() {
    if (streamed_->framing == reply_framing::chunked) append_last_chunk(out_);
    streamed_.reset();
    handling_ = false;
    if (loop_.draining()) last_request_ = true;
}

void connection::send_delayed(http::reply reply) {
    handling_ = true;
    loop_.events().call_at(
        event_loop::clock::now() + reply.delay,
        [self = shared_from_this(), reply = std::move(reply)] { self->answer(reply); });
}

void connection::answer(http::reply reply) {
    if (closed_ || !handling_) return;
    handling_ = false;
    if (loop_.draining()) last_request_ = true;
    or_close([&] {
        append(reply);
        go_on();
    });
}

/// Sends what there is to send. Returns false if the connection was closed.
bool connection::flush() {
    while (sent_ < out_.size()) {
        const auto gone = stream_.send(std::string_view(out_).substr(sent_));
        if (gone.reached == byte_stream::outcome::failed ||
            gone.reached == byte_stream::outcome::ended) {
            close();
            return false;
        }
        if (gone.reached == byte_stream::outcome::later && gone.emptied) return true;
        sent_ += gone.bytes;
    }
    out_.clear();
    sent_ = 0;
    loop_.return_buffer(out_);
    return true;
}

void connection::go_on() {
    for (int i = 0;; ++i) {
        if (readable_ && unread_.empty()) receive();
        if (closed_ || !flush()) return;
        const bool may_go_on = lingering_ || may_take_request();
        if (!may_go_on || (unread_.empty() && !readable_)) break;
        if (i == turns_in_a_row) {
            go_on_later();
            break;
        }
        const auto input = std::exchange(unread_, {});
        if (!lingering_) consume(input);
    }
    const bool unsent = sent_ < out_.size();
    if (unsent) return wait_as(waiting_for::reader);
    ask_for_piece();
    if (streamed_ && streamed_->follows) return wait_as(waiting_for::more_to_follow);
    if (handling_) return wait_as(waiting_for::handler);
    if (last_request_) return end();
    if (client_ended_) return close(); // what was read of a request does not count
    if (stream_.handshaking()) return wait_as(waiting_for::handshake);
    if (reader_.in_body()) return wait_as(waiting_for::body);
    wait_as(reader_.in_head() ? waiting_for::head : waiting_for::request);
}

/// Ends the connection after its last reply: closing it while bytes of the client are unread would
/// reset it, and the client might lose the reply (RFC 9112 §9.6).
void connection::end() {
    if (client_ended_) return close();
    if (std::exchange(lingering_, true)) return;
    unread_ = {};
    stream_.end_sending();
    wait_as(waiting_for::end);
    if (readable_) go_on();
}

void connection::drain() {
    if (lingering_) return;
    if (streamed_ && streamed_->follows)
        return or_close([this] {
            end_stream();
            go_on();
            if (sent_ < out_.size()) close(); // a client that does not keep up is not waited for
        });
    if (!handling_ && sent_ == out_.size()) return close();
    last_request_ = true;
}

void connection::wait_as(waiting_for what) noexcept {
    // A client that does not read has the same time, however many requests it sends meanwhile.
    const bool anew = std::exchange(progressed_, false) && what != waiting_for::reader;
    if (anew || place.what != what) loop_.wait_as(*this, what);
}

void connection::close() noexcept {
    if (std::exchange(closed_, true)) return;
    const auto self = shared_from_this(); // the loop may have the last other reference
    streamed_.reset();
    loop_.events().remove(stream_.socket(), *this);
    stream_.close();
    loop_.forget(*this);
}

} // namespace roundhouse::server
