#pragma once

#include "../integration/running_server.hpp"
#include "current_address.hpp"

#include <signal.h>

#include <chrono>
#include <exception>
#include <memory>
#include <thread>
#include <utility>

#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace roundhouse_tests {

/// A server that can be killed and started again.
class killable_server {
public:
    explicit killable_server(child_process::environment variables)
        : variables_(std::move(variables)) {
        start();
    }

    [[nodiscard]] const current_address& address() const noexcept { return address_; }
    [[nodiscard]] running_server& current() noexcept { return *server_; }

    void kill_and_restart() {
        kill();
        start();
    }

    /// Ends the server with SIGKILL; its engines go on.
    void kill() {
        server_->process.signal(SIGKILL);
        server_.reset();
    }

    /// On a full disk the server cannot start: tries again, as a service manager does.
    void start() {
        for (int attempt = 1; !server_; ++attempt) {
            try {
                server_ = std::make_unique<running_server>(variables_);
            } catch (const std::exception&) {
                if (attempt == 50) throw;
                std::this_thread::sleep_for(std::chrono::milliseconds(100));
            }
        }
        address_.set(server_->address);
    }

private:
    const child_process::environment variables_;
    current_address address_;
    std::unique_ptr<running_server> server_;
};

} // namespace roundhouse_tests

#endif
