#pragma once

#include "engine.hpp"
#include "environment.hpp"
#include "json.hpp"
#include "worker_pool.hpp"

#include <fcntl.h>
#include <httplib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <simdjson.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace demo_engine {

/// Writes a line of the engine's output, which the orchestrator keeps and shows. Must not hold a
/// key or its hash.
inline void log(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

/// The engine and its HTTP endpoints. Reads its settings from the environment.
class application {
public:
    application()
        : id_{variable("ENGINE_ID")},
          host_{variable("ENGINE_HOST", "127.0.0.1")},
          port_{number("ENGINE_PORT", 1, 65535)},
          passed_{passed_listener()},
          rotates_{number("DEMO_ENGINE_NO_ROTATE", 0, 1, "0") == 0},
          keys_{own_key_hash()},
          executions_{
              std::filesystem::path{variable("SQLITE_DB_PATH", "./brain.sqlite")}.parent_path() /
              "executions"} {
        std::error_code ignored; // a catalog that cannot be examined cannot be used
        const auto catalog = std::getenv("CATALOG_DIR");
        has_catalog_ = catalog != nullptr && std::filesystem::is_directory(catalog, ignored);
        configure();
        add_routes();
    }

    /// Starts to listen, or takes over the socket that listens already; connections wait until
    /// `serve` is called. Throws std::runtime_error if the port cannot be bound.
    void bind() {
        if (passed_ >= 0) {
            take_over();
            return;
        }
        if (!server_.bind_to_port(host_, port_)) {
            throw std::runtime_error{"ENGINE_PORT: cannot listen on " + host_ + ":" +
                                     std::to_string(port_) +
                                     "; the port is in use or the address is not this machine's"};
        }
        log("engine " + id_ + " listens on " + host_ + ":" + std::to_string(port_));
    }

    /// Serves until `stop` is called, and then waits up to `drain_timeout` for requests in flight.
    void serve() {
        server_.listen_after_bind();
        in_flight_.wait_until_none(drain_timeout);
    }

    /// Ends `serve`. May be called from any thread at any time.
    void stop() {
        if (!server_.is_running()) {
            // No request is under way, and httplib ignores a stop this early.
            std::_Exit(EXIT_SUCCESS);
        }
        server_.stop();
        health_.set({condition::sick}); // unblocks handlers that hang
    }

private:
    static constexpr std::chrono::seconds drain_timeout{1};

    using handler = void (application::*)(const httplib::Request&, httplib::Response&);

    static key_hash own_key_hash() {
        const auto hash = parse_key_hash(variable("ENGINE_KEY_HASH"));
        if (!hash) {
            throw std::runtime_error{
                "ENGINE_KEY_HASH: must be the key's SHA-256 as 64 lower-case hex digits"};
        }
        return *hash;
    }

    /// Gives httplib the passed socket. It takes no descriptor, so the socket is put in the place of
    /// one that it binds: to the same port, the only one that an engine may have, of another address.
    void take_over() {
        if (!server_.bind_to_port("127.0.0.2", port_) || ::dup3(passed_, bound_, O_CLOEXEC) < 0) {
            throw std::runtime_error{"ENGINE_LISTEN_FD: cannot take over the socket"};
        }
        ::close(passed_);
        const int on = 1;
        ::setsockopt(bound_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        log("engine " + id_ + " listens on the socket that it was passed");
    }

    void configure() {
        server_.new_task_queue = [] { return new worker_pool; }; // httplib deletes it
        server_.set_tcp_nodelay(true);
        server_.set_keep_alive_timeout(5);
        server_.set_keep_alive_max_count(1'000'000);
        server_.set_read_timeout(5);
        server_.set_payload_max_length(1 << 20);
        // httplib's default is SO_REUSEPORT, with which a second engine could start on the same
        // port.
        server_.set_socket_options([this](socket_t socket) {
            const int on = 1;
            ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            bound_ = socket;
        });
        observe_requests();
        shape_errors();
    }

    void shape_errors() {
        server_.set_exception_handler([](const httplib::Request&, httplib::Response& response,
                                         const std::exception_ptr& problem) {
            try {
                std::rethrow_exception(problem);
            } catch (const bad_request& error) {
                reply_error(response, 400, "INVALID_REQUEST", error.what());
            } catch (const std::exception& error) {
                log(std::string{"error: "} + error.what());
                reply_error(response, 500, "INTERNAL_ERROR",
                            "the request failed; the engine's log says why");
            }
        });
        server_.set_error_handler(
            [this](const httplib::Request& request, httplib::Response& response) {
                if (!response.body.empty()) {
                    return;
                }
                if (!authorised(request)) {
                    refuse(response);
                } else if (response.status == 404) {
                    reply_error(response, 404, "NOT_FOUND",
                                "no such path or method; --help lists them");
                } else {
                    reply_error(response, response.status, "INVALID_REQUEST",
                                "the request could not be read");
                }
            });
    }

    void observe_requests() {
        server_.set_pre_routing_handler([this](const httplib::Request&, httplib::Response&) {
            in_flight_.add();
            return httplib::Server::HandlerResponse::Unhandled;
        });
        // Called when the reply has been written: an exit at this point does not cut it off.
        server_.set_logger([this](const httplib::Request& request, const httplib::Response&) {
            in_flight_.remove();
            if (const int code = exit_code_; code >= 0 && request.path == "/demo/exit") {
                std::_Exit(code);
            }
        });
    }

    void add_routes() {
        server_.Get("/health", bound(&application::health));
        server_.Post("/execute", guarded(&application::execute));
        if (rotates_) {
            server_.Post("/rotate-key", guarded(&application::rotate_key));
        }
        server_.Post("/demo/health", guarded(&application::demo_health));
        server_.Post("/demo/exit", guarded(&application::demo_exit));
        server_.Post("/demo/memory", guarded(&application::demo_memory));
    }

    httplib::Server::Handler bound(handler handle) {
        return [this, handle](const httplib::Request& request, httplib::Response& response) {
            (this->*handle)(request, response);
        };
    }

    httplib::Server::Handler guarded(handler handle) {
        return [this, handle](const httplib::Request& request, httplib::Response& response) {
            if (authorised(request)) {
                (this->*handle)(request, response);
            } else {
                refuse(response);
            }
        };
    }

    bool authorised(const httplib::Request& request) const {
        return keys_.opens_with(request.get_header_value("X-Engine-Key"));
    }

    static void reply(httplib::Response& response, const std::string& body) {
        response.status = 200;
        response.set_content(body, "application/json");
    }

    static void reply_error(httplib::Response& response, int status, std::string_view code,
                            std::string_view message) {
        response.status = status;
        response.set_content(R"({"error":{"code":)" + json_string(code) + R"(,"message":)" +
                                 json_string(message) + "}}",
                             "application/json");
    }

    static void refuse(httplib::Response& response) {
        reply_error(response, 401, "INVALID_ENGINE_KEY", "send the engine's key in X-Engine-Key");
    }

    void health(const httplib::Request&, httplib::Response& response) {
        const auto [state, busy] = health_.read();
        const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(
            std::chrono::steady_clock::now() - started_);
        reply(response,
              std::string{R"({"status":)"} + (state == condition::ok ? R"("ok")" : R"("sick")") +
                  R"(,"uptime_seconds":)" + std::to_string(uptime.count()) +
                  (busy ? R"(,"busy":true)" : "") + R"(,"subsystems":{"counter":"ok","catalog":)" +
                  (has_catalog_ ? R"("ok")" : R"("none")") + "}}");
    }

    void execute(const httplib::Request& request, httplib::Response& response) {
        simdjson::dom::parser parser;
        simdjson::dom::element input;
        if (parse_object(parser, request.body)["input"].get(input) != simdjson::SUCCESS) {
            throw bad_request{"input: is missing"};
        }
        const auto count = std::to_string(executions_.increment());
        log("execution " + count);
        reply(response, R"({"engine_id":)" + json_string(id_) + R"(,"echo":)" +
                            simdjson::minify(input) + R"(,"count":)" + count + "}");
    }

    void rotate_key(const httplib::Request& request, httplib::Response& response) {
        simdjson::dom::parser parser;
        const auto text = member<std::string_view>(parse_object(parser, request.body), "key_hash",
                                                   "a string");
        const auto next = parse_key_hash(text.value_or(""));
        if (!next) {
            throw bad_request{
                "key_hash: must be the next key's SHA-256 as 64 lower-case hex digits"};
        }
        if (!keys_.rotate(request.get_header_value("X-Engine-Key"), *next)) {
            return refuse(response);
        }
        log("key rotated");
        reply(response, R"({"status":"rotated"})");
    }

    void demo_health(const httplib::Request& request, httplib::Response& response) {
        simdjson::dom::parser parser;
        const auto body = parse_object(parser, request.body);
        const auto status = member<std::string_view>(body, "status", "a string").value_or("ok");
        health_switch::answer next;
        if (status == "sick") {
            next.state = condition::sick;
        } else if (status == "hang") {
            next.state = condition::hang;
        } else if (status != "ok") {
            throw bad_request{"status: must be ok, sick or hang"};
        }
        next.busy = member<bool>(body, "busy", "true or false").value_or(false);
        health_.set(next);
        reply(response, "{}");
    }

    void demo_exit(const httplib::Request& request, httplib::Response& response) {
        simdjson::dom::parser parser;
        const auto code = member<std::int64_t>(parse_object(parser, request.body), "code",
                                               "a number")
                              .value_or(0);
        if (code < 0 || code > 255) {
            throw bad_request{"code: must be from 0 to 255"};
        }
        log("exits with " + std::to_string(code) + ", as asked");
        exit_code_ = static_cast<int>(code);
        reply(response, "{}");
    }

    void demo_memory(const httplib::Request& request, httplib::Response& response) {
        simdjson::dom::parser parser;
        const auto mib =
            member<std::int64_t>(parse_object(parser, request.body), "mib", "a number").value_or(0);
        if (mib < 0 || mib > 65'536) {
            throw bad_request{"mib: must be from 0 to 65536"};
        }
        log("takes " + std::to_string(mib) + " MiB, as asked");
        // Filled, because the system does not provide memory before it is written.
        const std::lock_guard lock{taken_mutex_};
        taken_.emplace_back(static_cast<std::size_t>(mib) << 20U, 'x');
        reply(response, "{}");
    }

    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::string id_;
    std::string host_;
    int port_;
    int passed_;     // negative if no socket was passed
    int bound_ = -1; // the last that httplib made
    bool rotates_;
    bool has_catalog_ = false;
    key_lock keys_;
    execution_counter executions_;
    health_switch health_;
    in_flight_count in_flight_;
    std::atomic<int> exit_code_{-1};
    std::mutex taken_mutex_;
    std::list<std::string> taken_;
    httplib::Server server_;
};

} // namespace demo_engine
