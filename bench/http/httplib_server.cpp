// A plain cpp-httplib server that answers every admit with a given body. Each connection has a
// thread, so that none waits for another.
//
//   bench_http_httplib_server --body FILE --threads N [--port P]
//
// Prints "ready PORT" and serves until it is terminated.
#include <httplib.h>

#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

struct arguments {
    std::string body_file;
    std::size_t threads = 8;
    int port = 0;
};

arguments read_arguments(int argc, char** argv) {
    arguments out;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string value = argv[i + 1];
        if (name == "--body") out.body_file = value;
        else if (name == "--threads") out.threads = std::stoul(value);
        else if (name == "--port") out.port = std::stoi(value);
        else throw std::invalid_argument(std::string(name) + " is not known");
    }
    if (out.body_file.empty() || argc % 2 == 0)
        throw std::invalid_argument("--body FILE --threads N [--port P]");
    return out;
}

std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + " cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
}

void serve(const arguments& options) {
    const std::string body = content_of(options.body_file);
    httplib::Server server;
    server.new_task_queue = [&] { return new httplib::ThreadPool(options.threads); };
    server.set_keep_alive_max_count(std::numeric_limits<std::size_t>::max());
    server.set_tcp_nodelay(true);
    server.Post(R"(/engines/([^/]+)/admit)", [&](const httplib::Request&, httplib::Response& out) {
        out.set_header("Cache-Control", "no-store");
        out.set_header("X-Request-Id", "0123456789abcdef0123456789abcdef");
        out.set_content(body, "application/json");
    });
    const int port = options.port == 0 ? server.bind_to_any_port("127.0.0.1") : options.port;
    if (options.port != 0 && !server.bind_to_port("127.0.0.1", port))
        throw std::runtime_error("the port is taken");
    std::printf("ready %d\n", port);
    std::fflush(stdout);
    if (!server.listen_after_bind()) throw std::runtime_error("it cannot listen");
}

} // namespace

int main(int argc, char** argv) {
    try {
        serve(read_arguments(argc, argv));
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_http_httplib_server: %s\n", problem.what());
        return 1;
    }
    return 0;
}
