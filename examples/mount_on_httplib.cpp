// The documented HTTP API on a cpp-httplib server that a product already has, under a prefix of its
// choice. Usage: mount_on_httplib [PORT]   (0, the default, takes any free port, asks itself one
// question and ends)
#include <roundhouse/http/httplib.hpp>
#include <roundhouse/roundhouse.hpp>

#include <asio/thread_pool.hpp>
#include <httplib.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

using namespace roundhouse;

int main(int argc, char** argv) {
    asio::thread_pool threads(2);
    using memory_fleet =
        roundhouse::orchestrator<memory_backend, memory_store, roundhouse::system_clock>;
    const auto master_key = crypto::key_ring::make_key(crypto::system_entropy);
    const auto orchestrator = std::make_shared<memory_fleet>(
        threads.get_executor(), std::make_shared<memory_backend>(),
        std::make_shared<memory_store>(), std::make_shared<roundhouse::system_clock>(),
        orchestrator_options(or_throw(crypto::key_ring::parse(master_key))));
    or_throw(orchestrator->async_recover(wait));

    http::api_options options;
    options.admin_key = "an admin key of 16 characters or more";
    httplib::Server server;
    server.Get("/", [](const httplib::Request&, httplib::Response& answer) {
        answer.set_content("the product's own page\n", "text/plain");
    });
    http::mount(server, std::make_shared<http::api>(orchestrator->calls(), std::move(options)),
                "/roundhouse");

    const int wanted = argc > 1 ? std::atoi(argv[1]) : 0;
    if (wanted != 0) return server.listen("127.0.0.1", wanted) ? 0 : 1;
    const int port = server.bind_to_any_port("127.0.0.1");
    std::jthread serving([&] { server.listen_after_bind(); });
    httplib::Client client("127.0.0.1", port);
    const auto health = client.Get("/roundhouse/health");
    std::cout << (health ? health->body : "no answer") << '\n';
    server.stop();
    return health && health->status == 200 ? 0 : 1;
}
