// Uses each component that was found, as far as that needs nothing of the machine, and prints the
// version.
#include <roundhouse/product_handle.hpp>
#include <roundhouse/roundhouse.hpp>
#include <roundhouse/wait.hpp>
#ifdef ROUNDHOUSE_TEST_docker
#include <roundhouse/backend/docker.hpp>
#endif
#ifdef ROUNDHOUSE_TEST_fleet
#include <roundhouse/subprocess_fleet.hpp>
#endif
#ifdef ROUNDHOUSE_TEST_http
#include <roundhouse/http/api.hpp>
#endif
#ifdef ROUNDHOUSE_TEST_lmdb
#include <roundhouse/store/lmdb.hpp>
#endif
#ifdef ROUNDHOUSE_TEST_subprocess
#include <roundhouse/backend/subprocess.hpp>
#endif

#include <asio/io_context.hpp>

#include <cstdlib>
#include <iostream>
#include <stdexcept>

namespace {

void expect(bool holds) {
    if (!holds) std::exit(EXIT_FAILURE);
}

template <class Backend, class Options> [[maybe_unused]] void expect_refused(Options options) {
    asio::io_context loop;
    try {
        Backend(loop.get_executor(), options);
    } catch (const std::invalid_argument&) {
        return;
    }
    expect(false);
}

} // namespace

int main() {
    using namespace roundhouse;
    expect(memory_store().list_engines({}).has_value());
#ifdef ROUNDHOUSE_TEST_docker
    expect_refused<docker_backend>(docker_options{});
#endif
#ifdef ROUNDHOUSE_TEST_fleet
    expect(!open_subprocess_fleet({}));
#endif
#ifdef ROUNDHOUSE_TEST_http
    http::request unknown;
    unknown.target = "/nothing";
    expect(http::api(nullptr, {}).handle(unknown, {})->status == 404);
#endif
#ifdef ROUNDHOUSE_TEST_lmdb
    expect(!lmdb_store::open({.folder = "/dev/null"}));
#endif
#ifdef ROUNDHOUSE_TEST_subprocess
    expect_refused<subprocess_backend>(subprocess_options{});
#endif
    std::cout << version_string << '\n';
}
