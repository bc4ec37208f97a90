#include "listener.hpp"

#include "http_loop.hpp"
#include "listening_sockets.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace roundhouse::server {

listener::listener(listener_options options, request_handler handler)
    : shared_(std::make_shared<shared_loop_state>(options, std::move(handler))) {
    const auto count = std::max<std::size_t>(options.loops, 1);
    std::vector<listening_sockets> opened;
    for (const auto& place : options.places) opened.push_back(listen_at(place, count));
    std::vector<std::vector<http_loop::listening>> of_loops(count);
    for (std::size_t p = 0; p < opened.size(); ++p) {
        const auto& place = options.places[p];
        ports_.push_back(opened[p].port);
        if (!place.unix_path.empty()) unix_paths_.push_back(place.unix_path);
        const auto sockets = opened[p].sockets.release();
        for (std::size_t i = 0; i < count; ++i) of_loops[i].push_back({sockets[i], place.tls});
    }
    for (const auto& sockets : of_loops)
        loops_.push_back(std::make_shared<http_loop>(shared_, sockets));
    try {
        for (const auto& loop : loops_) {
            threads_.emplace_back([loop] { loop->run(); });
            // Only for debuggers; an error does not matter.
            ::pthread_setname_np(threads_.back().native_handle(), "http");
        }
    } catch (...) {
        stop();
        throw;
    }
}

listener::~listener() { stop(); }

std::size_t listener::connections() const { return shared_->places.taken(); }

bool listener::drain(std::chrono::milliseconds timeout) {
    for (const auto& loop : loops_) loop->drain();
    return shared_->wait_until_drained(loops_.size(), timeout);
}

void listener::stop() {
    for (const auto& loop : loops_) loop->stop();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    loops_.clear();
    for (const auto& path : std::exchange(unix_paths_, {})) (void)::unlink(path.c_str());
}

} // namespace roundhouse::server
