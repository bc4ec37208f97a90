#include "http_loop.hpp"

#include "reply_bytes.hpp"
#include "restinio_setup.hpp"

#include <asio/bind_executor.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <unordered_map>
#include <utility>

namespace roundhouse::server {

/// A request that waits for its reply. Only the first reply is sent; without any, a 500 is.
class pending_reply {
public:
    pending_reply(std::shared_ptr<http_loop> loop, restinio::request_handle_t call)
        : loop_(std::move(loop)), call_(std::move(call)) {}
    ~pending_reply();
    pending_reply(const pending_reply&) = delete;
    pending_reply& operator=(const pending_reply&) = delete;

    void send(http::reply reply) {
        if (auto call = take()) post(std::move(call), std::move(reply));
    }

private:
    /// Returns the request on the first call, and null on later ones.
    restinio::request_handle_t take() noexcept {
        return taken_.exchange(true) ? nullptr : std::move(call_);
    }
    void post(restinio::request_handle_t call, http::reply reply);

    // In this order: the request holds a socket, which must be destroyed before its loop.
    std::shared_ptr<http_loop> loop_;
    restinio::request_handle_t call_;
    std::atomic<bool> taken_{false};
};

namespace {

http::reply internal_error_reply(std::string request_id) {
    return http::error_reply(error{errc::internal_error, {}, 0}, std::move(request_id));
}

} // namespace

class http_loop::implementation {
public:
    implementation(http_loop& self, std::shared_ptr<shared_loop_state> shared,
                   const asio::ip::tcp::endpoint& address);

    void accept_next();
    void drain();
    restinio::request_handling_status_t handle(restinio::request_handle_t call);
    void answer(restinio::request_handle_t call, http::reply reply);
    void forget(restinio::connection_id_t id) noexcept;

private:
    struct open_connection {
        int socket = -1;       ///< Valid as long as this object.
        std::size_t calls = 0; ///< Calls that have been read and not been answered yet.
        restinio::request_id_t newest_call = 0;
        bool last_call_read = false; ///< The connection closes after the reply to `newest_call`.
    };

    std::shared_ptr<connection_settings> make_settings();
    void open(const asio::ip::tcp::endpoint& address);
    void on_accept(const std::error_code& failed, asio::ip::tcp::socket socket);
    void accept_waiting();
    void admit(asio::ip::tcp::socket socket);
    void warn_rarely(std::string_view message);
    std::optional<http::reply> ask_handler(const restinio::request_t& call,
                                           const headers_found& headers,
                                           const std::shared_ptr<pending_reply>& pending);
    void after_answer(restinio::connection_id_t id) noexcept;
    std::string_view date();

    http_loop& self_;
    std::shared_ptr<shared_loop_state> shared_;
    std::unordered_map<restinio::connection_id_t, open_connection> open_;
    bool draining_ = false;
    std::time_t date_of_ = 0;
    std::string date_;
    std::chrono::steady_clock::time_point warned_at_{};
    std::size_t suppressed_warnings_ = 0;

public:
    // Declared after everything that connections use: they are destroyed with the context at the
    // latest.
    asio::io_context context{1};
    asio::ip::tcp::acceptor acceptor{context};

private:
    asio::steady_timer accept_again_{context};
    connection_factory connections_;
};

http_loop::implementation::implementation(http_loop& self,
                                          std::shared_ptr<shared_loop_state> shared,
                                          const asio::ip::tcp::endpoint& address)
    : self_(self),
      shared_(std::move(shared)),
      connections_(make_settings(),
                   std::make_unique<restinio::socket_options_setter_t>([](auto&) {})) {
    open(address);
}

std::shared_ptr<connection_settings> http_loop::implementation::make_settings() {
    const auto& limits = shared_->limits;
    restinio::server_settings_t<traits> settings;
    settings
        .request_handler(call_handler{&self_,
                                      [](http_loop& loop, restinio::request_handle_t call) {
                                          return loop.implementation_->handle(std::move(call));
                                      }})
        .connection_state_listener(std::make_shared<connection_watcher>(connection_watcher{
            &self_, [](http_loop& loop,
                       restinio::connection_id_t id) { loop.implementation_->forget(id); }}))
        .read_next_http_message_timelimit(limits.request_timeout)
        .write_http_response_timelimit(limits.reply_timeout)
        .handle_request_timeout(limits.handler_timeout)
        // At least two, so that a connection is read while its call is handled: only so is a client
        // noticed that closes it.
        .max_pipelined_requests(std::max<std::size_t>(limits.max_pipelined, 2))
        .incoming_http_msg_limits(restinio::incoming_http_msg_limits_t()
                                      .max_url_size(limits.max_target_bytes)
                                      .max_field_name_size(limits.max_header_name_bytes)
                                      .max_field_value_size(limits.max_header_value_bytes)
                                      .max_field_count(limits.max_header_count)
                                      .max_body_size(limits.max_body_bytes + 1));
    return std::make_shared<connection_settings>(
        std::move(settings), parser_callbacks(),
        std::make_shared<restinio::asio_timer_manager_t>(context, limits.timeout_check_interval));
}

void http_loop::implementation::open(const asio::ip::tcp::endpoint& address) {
    acceptor.open(address.protocol());
    acceptor.set_option(asio::socket_base::reuse_address(true));
    const int yes = 1;
    if (::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) != 0)
        throw std::system_error(errno, std::system_category(), "SO_REUSEPORT");
    acceptor.bind(address);
    acceptor.listen();
    acceptor.non_blocking(true);
    // Otherwise Asio does not report a client that has gone already, and waits for the next one.
    acceptor.set_option(asio::socket_base::enable_connection_aborted(true));
}

void http_loop::implementation::accept_next() {
    acceptor.async_accept([this](const std::error_code& failed, asio::ip::tcp::socket socket) {
        on_accept(failed, std::move(socket));
    });
}

void http_loop::implementation::on_accept(const std::error_code& failed,
                                          asio::ip::tcp::socket socket) {
    if (draining_) return;
    if (!failed) {
        accept_next(); // first, because what follows may run out of memory
        admit(std::move(socket));
        return accept_waiting();
    }
    if (failed == asio::error::connection_aborted) return accept_next(); // the client has gone
    warn_rarely("cannot accept connections: " + failed.message());
    accept_again_.expires_after(shared_->limits.accept_retry);
    accept_again_.async_wait([this](const std::error_code& aborted) {
        if (!aborted && !draining_) accept_next();
    });
}

/// Accepts clients that are waiting already. One round of a busy loop serves all of its
/// connections: if each round accepted one client only, a crowd of clients would wait for seconds.
void http_loop::implementation::accept_waiting() {
    constexpr int max_per_round = 64;
    for (int i = 0; i < max_per_round; ++i) {
        std::error_code failed;
        asio::ip::tcp::socket socket(context);
        acceptor.accept(socket, failed);
        if (failed) return; // no client is waiting, or the next round reports the error
        admit(std::move(socket));
    }
}

void http_loop::implementation::admit(asio::ip::tcp::socket socket) {
    std::error_code failed;
    const auto peer = socket.remote_endpoint(failed);
    if (failed) return; // reset before it was accepted
    if (!shared_->try_add_connection())
        return warn_rarely("connections are refused: there are as many as there may be");
    // The connection works without these options, so errors are ignored. Keep-alive probes detect
    // clients that vanish while they wait for a boot.
    std::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    const int descriptor = socket.native_handle();
    std::optional<restinio::connection_id_t> id;
    try {
        // The null argument is RESTinio's counter of connections, which is not used.
        auto connection = connections_.create_new_connection(std::move(socket), peer, {nullptr});
        open_.emplace(connection->connection_id(), open_connection{.socket = descriptor});
        id = connection->connection_id();
        connection->init();
    } catch (const std::exception& problem) {
        if (id) forget(*id);
        else shared_->remove_connection();
        warn_rarely(std::string("a connection could not be set up: ") + problem.what());
    }
}

/// Writes at most one line per minute, so that a flood of connections does not flood the log.
void http_loop::implementation::warn_rarely(std::string_view message) {
    const auto now = std::chrono::steady_clock::now();
    if (warned_at_ != std::chrono::steady_clock::time_point() &&
        now - warned_at_ < std::chrono::minutes(1)) {
        ++suppressed_warnings_;
        return;
    }
    warned_at_ = now;
    const auto suppressed = std::exchange(suppressed_warnings_, 0);
    shared_->warn(std::string(message) +
                  (suppressed > 0
                       ? " (" + std::to_string(suppressed) + " more times since the last such line)"
                       : ""));
}

restinio::request_handling_status_t
http_loop::implementation::handle(restinio::request_handle_t call) {
    const auto found = open_.find(call->connection_id());
    // RFC 9112 §9.6: requests after one with `Connection: close` are not processed. RESTinio goes
    // on reading; its reply to a rejected request is not sent, because the connection closes first.
    if (found == open_.end() || found->second.last_call_read) return restinio::request_rejected();
    found->second.last_call_read = !call->header().should_keep_alive();
    found->second.newest_call = call->request_id();
    ++found->second.calls;
    // Stays alive at least until `pending` has been answered or this function has returned.
    const auto& request = *call;
    const auto pending = std::make_shared<pending_reply>(self_.shared_from_this(), std::move(call));
    const headers_found headers(request.header());
    if (const auto complaint = complaint_about(request.header(), headers)) {
        found->second.last_call_read = true;
        pending->send(http::error_reply(400, code_name(errc::invalid_request), *complaint,
                                        http::request_id_for(headers.request_id)));
    } else if (auto reply = ask_handler(request, headers, pending)) {
        pending->send(std::move(*reply));
    }
    return restinio::request_accepted();
}

std::optional<http::reply>
http_loop::implementation::ask_handler(const restinio::request_t& call,
                                       const headers_found& headers,
                                       const std::shared_ptr<pending_reply>& pending) {
    const auto& header = call.header();
    const auto request_id = headers.request_id;
    try {
        http::request request;
        request.method = header.method().c_str();
        request.target = header.request_target();
        request.body_too_large = call.body().size() > shared_->limits.max_body_bytes;
        if (!request.body_too_large) request.body = call.body();
        request.platform_key = headers.platform_key;
        request.admin_key = headers.admin_key;
        request.request_id = request_id;
        return shared_->handler(request,
                                [pending](http::reply reply) { pending->send(std::move(reply)); });
    } catch (const std::exception& problem) {
        shared_->warn(std::string("a call failed: ") + problem.what());
    } catch (...) {
        shared_->warn("a call failed in an unknown way");
    }
    return internal_error_reply(http::request_id_for(request_id));
}

void http_loop::implementation::answer(restinio::request_handle_t call, http::reply reply) {
    const auto id = call->connection_id();
    const auto found = open_.find(id);
    if (found == open_.end()) return; // the client has gone
    const bool keep_alive = !found->second.last_call_read ||
                            call->request_id() != found->second.newest_call;
    auto bytes = reply_head(reply, date(), keep_alive);
    restinio::writable_items_container_t items;
    constexpr std::size_t max_copied_body = std::size_t{16} * 1024;
    const bool has_body = call->header().method() != restinio::http_method_head() &&
                          !reply.body.empty();
    if (has_body && reply.body.size() <= max_copied_body) bytes += reply.body;
    items.emplace_back(std::move(bytes));
    if (has_body && reply.body.size() > max_copied_body) items.emplace_back(std::move(reply.body));
    restinio::write_group_t group(std::move(items));
    // Called once, also if the connection is closed before.
    group.after_write_notificator([this, id](const asio::error_code&) { after_answer(id); });
    const restinio::response_output_flags_t flags(restinio::response_parts_attr_t::final_parts,
                                                  restinio::response_connection_attr(keep_alive));
    const auto connection = std::move(restinio::impl::access_req_connection(*call));
    connection->write_response_parts(call->request_id(), flags, std::move(group));
}

void http_loop::implementation::after_answer(restinio::connection_id_t id) noexcept {
    const auto found = open_.find(id);
    if (found == open_.end() || --found->second.calls > 0) return;
    if (draining_)
        ::shutdown(found->second.socket, SHUT_RDWR); // RESTinio reads the end, and closes it
}

void http_loop::implementation::forget(restinio::connection_id_t id) noexcept {
    if (open_.erase(id) > 0) shared_->remove_connection();
}

void http_loop::implementation::drain() {
    if (std::exchange(draining_, true)) return;
    std::error_code ignored; // the acceptor is closed either way
    acceptor.close(ignored);
    accept_again_.cancel();
    for (auto& [id, connection] : open_) {
        connection.last_call_read = true;
        if (connection.calls == 0)
            ::shutdown(connection.socket, SHUT_RDWR); // RESTinio reads the end, and closes it
    }
    shared_->draining_loops.fetch_add(1);
    shared_->notify();
}

std::string_view http_loop::implementation::date() {
    const auto now = std::time(nullptr);
    if (now != date_of_) date_ = http_date(date_of_ = now);
    return date_;
}

http_loop::http_loop(std::shared_ptr<shared_loop_state> shared,
                     const asio::ip::tcp::endpoint& address)
    : implementation_(std::make_unique<implementation>(*this, std::move(shared), address)) {}

http_loop::~http_loop() = default;

asio::ip::tcp::endpoint http_loop::address() const {
    return implementation_->acceptor.local_endpoint();
}

void http_loop::run() {
    asio::post(implementation_->context, [this] { implementation_->accept_next(); });
    for (;;) {
        try {
            implementation_->context.run();
            return;
        } catch (...) {
            // Probably out of memory while serving one connection; the others go on.
        }
    }
}

void http_loop::drain() {
    asio::post(implementation_->context, [this] { implementation_->drain(); });
}

void http_loop::stop() { implementation_->context.stop(); }

pending_reply::~pending_reply() {
    auto call = take();
    if (!call) return;
    try {
        post(std::move(call), internal_error_reply(http::request_id_for({})));
    } catch (...) {
        // Out of memory: the connection's time limit ends it.
    }
}

/// Sends a reply through the loop's queue, because connections belong to the loop's thread. Replies
/// from inside a handler take the queue too: RESTinio miscounts pipelined requests when a handler
/// answers before it returns, and closes the connection after a few.
void pending_reply::post(restinio::request_handle_t call, http::reply reply) {
    auto& loop = *loop_->implementation_;
    asio::post(loop.context, [&loop, call = std::move(call), reply = std::move(reply)]() mutable {
        loop.answer(std::move(call), std::move(reply));
    });
}

} // namespace roundhouse::server
