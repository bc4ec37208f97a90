// The SDK with coroutines: many users at once, and no thread that waits.
#include <roundhouse/roundhouse.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>

#include <iostream>
#include <memory>
#include <string>
#include <utility>

using namespace roundhouse;

namespace {

using memory_fleet = orchestrator<memory_backend, memory_store, roundhouse::system_clock>;

/// One user's request: admit, and wait as long as that takes.
asio::awaitable<void> serve(std::shared_ptr<memory_fleet> fleet, product_ptr product,
                            std::string user) {
    const admit_options options{.auto_provision = true, .auto_wake = true};
    const auto answer = co_await fleet->async_admit(product, user, options, asio::use_awaitable);
    if (!answer) std::cout << user + ": " + answer.error().message + "\n";
    else if (answer->engine) std::cout << user + " is served by " + answer->engine->url + "\n";
}

asio::awaitable<void> run(std::shared_ptr<memory_fleet> fleet) {
    const auto recovered = co_await fleet->async_recover(asio::use_awaitable);
    const auto made = co_await fleet->async_register_product("demo", "Demo", {},
                                                             asio::use_awaitable);
    if (!recovered || !made) co_return;
    const auto product = or_throw(fleet->authenticate(made->platform_key));
    const auto executor = co_await asio::this_coro::executor;
    for (const char* user : {"ada", "bob", "eve"})
        asio::co_spawn(executor, serve(fleet, product, user), asio::detached);
}

} // namespace

int main() {
    asio::thread_pool threads(2);
    memory_backend_script engines;
    engines.boot_delay = std::chrono::milliseconds{50};
    const auto master_key = crypto::key_ring::make_key(crypto::system_entropy);
    auto fleet = std::make_shared<memory_fleet>(
        threads.get_executor(), std::make_shared<memory_backend>(engines),
        std::make_shared<memory_store>(), std::make_shared<roundhouse::system_clock>(),
        orchestrator_options(or_throw(crypto::key_ring::parse(master_key))));
    asio::co_spawn(threads, run(std::move(fleet)), asio::detached);
    // The last coroutine lets go of the orchestrator, and with that of the threads' last work.
    threads.join();
}
