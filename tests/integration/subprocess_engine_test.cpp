#include "../removal_log.hpp"
#include "../scripted_http_server.hpp"
#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/http/parameters.hpp>

#include <asio/connect.hpp>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <memory>

using namespace roundhouse_tests;
using server = scripted_http_server;

namespace {

constexpr std::chrono::seconds long_enough{30};

rh::sha256_digest hash_of(const std::string& key) {
    rh::sha256_digest digest;
    ::SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
    return digest;
}

std::string message_of(const auto& outcome) {
    return outcome ? std::string{} : outcome.error().message;
}

/// The backend sends its requests to scripted servers in place of engines.
struct with_scripted_engine : subprocess_fixture {
    with_scripted_engine() { options.isolation = rh::isolation_mode::none; } // they are strangers

    rh::result<rh::health> probe(server::script script, rh::duration timeout = long_enough) {
        const server engine{std::move(script)};
        const rh::workload_ref ref{.engine_id = fresh_id(), .generation = 1, .port = engine.port()};
        return wait(backend().probe(ref, timeout));
    }
    std::string seen(server::script script, rh::duration timeout = long_enough) {
        return message_of(probe(std::move(script), timeout));
    }
    rh::result<rh::key_swap> swap(server::script script) {
        const server engine{std::move(script)};
        const rh::workload_ref ref{.engine_id = fresh_id(), .generation = 1, .port = engine.port()};
        const std::string key = "sk-sept-current";
        return wait(backend().swap_key(ref, key, hash_of("next")));
    }
};

/// The example engine.
struct with_demo_engine : subprocess_fixture {
    with_demo_engine() { options.command = {ROUNDHOUSE_DEMO_ENGINE}; }

    rh::workload boot(const std::string& key) {
        auto w = new_workload();
        w.key_hash = hash_of(key);
        if (const auto made = create(w); !made) throw std::runtime_error{made.error().message};
        if (!eventually([&] { return wait(backend().probe(w.ref, long_enough)).has_value(); }))
            throw std::runtime_error{"the demo engine does not boot"};
        return w;
    }
    rh::detail::http_response call(const rh::workload& w, const rh::detail::http_request& request) {
        const rh::detail::http_peer peer = asio::ip::tcp::endpoint{asio::ip::address_v4::loopback(),
                                                                   w.ref.port};
        const rh::detail::http_limits limits{.deadline = patience};
        return wait(rh::detail::http_call(peer, request, limits)).value();
    }
    unsigned execute(const rh::workload& w, const std::string& key) {
        return call(w, {.method = "POST",
                        .target = "/execute",
                        .headers = {{"X-Engine-Key", key}},
                        .body = R"({"input":1})"})
            .status;
    }
    void set_health(const rh::workload& w, const std::string& key, const std::string& body) {
        const rh::detail::http_request request{.method = "POST",
                                               .target = "/demo/health",
                                               .headers = {{"X-Engine-Key", key}},
                                               .body = body};
        REQUIRE(call(w, request).status == 200);
    }
};

} // namespace

TEST_CASE_METHOD(with_scripted_engine, "only a 2xx with the status ok is healthy") {
    CHECK(probe(
        server::answers(200, R"({"status":"ok","uptime_seconds":1,"subsystems":{"a":[1,{}]}})")));
    CHECK_FALSE(probe(server::sends("HTTP/1.1 204 No Content\r\n\r\n"))); // has no body
    CHECK(probe(server::answers(299, R"({"status":"ok"})")));
    CHECK(holds(seen(server::answers(503, R"({"status":"ok"})")), ": HTTP 503"));
    CHECK(holds(seen(server::answers(302, R"({"status":"ok"})")), ": HTTP 302"));
    CHECK(holds(seen(server::answers(200, R"({"status":"sick"})")), ": the status is \"sick\""));
    CHECK(holds(seen(server::answers(200, R"({"status":1})")), "JSON without a \"status\" text"));
    CHECK(holds(seen(server::answers(200, R"(["ok"])")), "JSON without a \"status\" text"));
    CHECK(holds(seen(server::answers(200, "ok")), ": the body is no JSON"));
    CHECK(holds(seen(server::answers(200, "")), ": the body is empty"));
    CHECK(holds(seen(server::answers(200, R"({"status":"ok")")), ": the body is no JSON"));
    CHECK(holds(seen(server::sends("SSH-2.0-x\r\n")), "127.0.0.1:"));
}

TEST_CASE_METHOD(with_scripted_engine, "a healthy engine may be busy") {
    CHECK(probe(server::answers(200, R"({"status":"ok","busy":true})"))->busy);
    CHECK_FALSE(probe(server::answers(200, R"({"status":"ok","busy":false})"))->busy);
    CHECK_FALSE(probe(server::answers(200, R"({"status":"ok","busy":"yes"})"))->busy);
}

TEST_CASE_METHOD(with_scripted_engine,
                 "a health answer is bounded in size, in depth and in the length that is quoted") {
    const auto nested = [](std::size_t depth) {
        return server::answers(200, R"({"status":"ok","subsystems":)" + std::string(depth, '[') +
                                        std::string(depth, ']') + '}');
    };
    CHECK(probe(nested(20)));
    CHECK(holds(seen(nested(1000)), ": the body is no JSON"));
    const auto padded = [](std::size_t size) {
        return server::answers(200,
                               R"({"status":"ok","padding":")" + std::string(size, 'x') + "\"}");
    };
    CHECK(probe(padded(60'000)));
    CHECK(holds(seen(padded(70'000)), "body over the limit"));
    const auto loud = seen(
        server::answers(200, R"({"status":"\u001b[31m)" + std::string(10'000, 'x') + "\"}"));
    CHECK(holds(loud, "the status is \"?[31mxxx"));
    CHECK(loud.size() < 250);
}

TEST_CASE_METHOD(with_scripted_engine,
                 "a probe distinguishes a refused connection from a missing answer") {
    const rh::workload_ref absent{.engine_id = fresh_id(), .generation = 1, .port = free_port()};
    CHECK(holds(message_of(wait(backend().probe(absent, long_enough))), "Connection refused"));
    CHECK(holds(seen(server::sends_and_hangs(""), rh::duration{100}), "no answer within 100 ms"));
    CHECK(holds(seen(server::sends("")), "closed the connection without an answer"));
}

TEST_CASE_METHOD(with_scripted_engine, "the answer to a new key shows whether it was taken") {
    CHECK(swap(server::answers(200, "")) == rh::key_swap::done);
    CHECK(swap(server::sends("HTTP/1.1 204 No Content\r\n\r\n")) == rh::key_swap::done);
    for (const unsigned status : {404U, 405U, 501U})
        CHECK(swap(server::answers(status, "")) == rh::key_swap::unsupported);
    const auto refused = swap(server::answers(400, "the key was sk-sept-current"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == rh::errc::backend_error);
    CHECK(holds(refused.error().message, "HTTP 400"));
    CHECK_FALSE(holds(refused.error().message, "sk-sept"));
}

TEST_CASE_METHOD(with_scripted_engine,
                 "the key of an engine that refuses the present one is unknown") {
    for (const unsigned status : {401U, 403U})
        CHECK(swap(server::answers(status, "")) == rh::key_swap::unknown);
}

TEST_CASE_METHOD(with_scripted_engine, "the key of an engine that does not answer is unknown") {
    options.swap_timeout = rh::duration{100};
    CHECK(swap(server::sends_and_hangs("HTTP/1.1 200 OK\r\n")) == rh::key_swap::unknown);
    CHECK(swap(server::sends("")) == rh::key_swap::unknown);
    CHECK(swap(server::sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) ==
          rh::key_swap::unknown);
    const rh::workload_ref absent{.engine_id = fresh_id(), .generation = 1, .port = free_port()};
    const std::string key = "sk-sept-current";
    CHECK(wait(backend().swap_key(absent, key, hash_of("next"))) == rh::key_swap::unknown);
}

TEST_CASE_METHOD(with_demo_engine,
                 "a real engine boots, answers its key, takes a new one and frees its port") {
    const auto w = boot("first");
    CHECK(execute(w, "first") == 200);
    CHECK(execute(w, "second") == 401);
    CHECK_FALSE(backend().port_usable(w.ref.port));
    const std::string current = "first";
    REQUIRE(wait(backend().swap_key(w.ref, current, hash_of("second"))) == rh::key_swap::done);
    CHECK(execute(w, "first") == 401);
    CHECK(execute(w, "second") == 200);
    REQUIRE(stop(w));
    CHECK(backend().port_usable(w.ref.port));
    CHECK(has(w, "executions"));
    CHECK(exits().empty());
    CHECK(backend().url(w.ref.engine_id, 9001) == "http://127.0.0.1:9001");
}

TEST_CASE_METHOD(with_demo_engine, "a real engine that cannot rotate says so and keeps its key") {
    options.environment.emplace_back("DEMO_ENGINE_NO_ROTATE", "1");
    const auto w = boot("first");
    const std::string current = "first";
    CHECK(wait(backend().swap_key(w.ref, current, hash_of("second"))) == rh::key_swap::unsupported);
    CHECK(execute(w, "first") == 200);
}

TEST_CASE_METHOD(with_demo_engine, "a real engine is probed as busy, unhealthy, hung and paused") {
    const auto w = boot("key");
    set_health(w, "key", R"({"status":"ok","busy":true})");
    CHECK(wait(backend().probe(w.ref, long_enough))->busy);
    set_health(w, "key", R"({"status":"sick"})");
    CHECK_FALSE(wait(backend().probe(w.ref, long_enough)));
    set_health(w, "key", R"({"status":"hang"})");
    CHECK(holds(message_of(wait(backend().probe(w.ref, rh::duration{100}))),
                "no answer within 100 ms"));
    set_health(w, "key", R"({"status":"ok"})");
    REQUIRE(wait(backend().pause(w.ref)));
    CHECK(holds(message_of(wait(backend().probe(w.ref, rh::duration{100}))),
                "no answer within 100 ms"));
    REQUIRE(wait(backend().resume(w.ref)));
    CHECK(wait(backend().probe(w.ref, long_enough)));
}

TEST_CASE_METHOD(subprocess_fixture, "logs are the last lines of what the engine wrote") {
    run_shell("seq 1 5000; echo oops >&2; touch ready; exec sleep 1000");
    const auto w = create_ready();
    CHECK(wait(backend().logs(w.ref, 3)) == "4999\n5000\noops\n");
    CHECK(wait(backend().logs(w.ref, 0)) == "");
    const auto all = wait(backend().logs(w.ref, 100'000)).value();
    CHECK(lines_of(without_marks(all)).size() == 5001);
    const auto unknown = new_workload();
    CHECK(wait(backend().logs(unknown.ref, 3)) == "");
}

TEST_CASE_METHOD(subprocess_fixture,
                 "boot logs are what the last launch wrote, also after its end") {
    const auto program = store.path() / "program";
    const auto write_program = [&](const std::string& text) {
        std::filesystem::remove(program);
        std::ofstream{program} << text;
        std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    };
    write_program("#!/bin/sh\necho generation; echo of $ENGINE_KEY_HASH; touch ready\n"
                  "exec sleep 1000\n");
    options.command = {program.string()};
    const auto w = create_ready();
    const auto boot_logs = [&](const rh::workload& asked, std::size_t tail = 100) {
        return wait(backend().boot_logs(asked.ref, tail)).value();
    };
    const auto first = "generation\nof " + rh::to_hex(w.key_hash) + '\n';
    CHECK(boot_logs(w) == first);
    CHECK(boot_logs(w, 1) == "of " + rh::to_hex(w.key_hash) + '\n');

    std::filesystem::remove(folder(w) / "ready");
    auto next = next_generation(w);
    next.key_hash.fill(0xCD);
    REQUIRE(create(next));
    REQUIRE(eventually([&] { return has(w, "ready"); }));
    const auto second = "generation\nof " + rh::to_hex(next.key_hash) + '\n';
    CHECK(boot_logs(next) == second);
    CHECK(without_marks(wait(backend().logs(w.ref, 100)).value()) == first + second);
    REQUIRE(stop(next));
    CHECK(boot_logs(next) == second);

    SECTION("a generation that could not be started has written nothing") {
        CHECK(boot_logs(next_generation(next)).empty());
        write_program("#!/no/such/interpreter\n");
        CHECK_FALSE(create(next_generation(next)));
        CHECK(boot_logs(next_generation(next)).empty());
        CHECK(without_marks(wait(backend().logs(next.ref, 100)).value()) == first + second);
    }
    SECTION("an engine that was destroyed has written nothing") {
        REQUIRE(wait(backend().destroy(w.ref)));
        CHECK(boot_logs(next).empty());
    }
}

TEST_CASE_METHOD(subprocess_fixture, "a line of its own marks each boot in an engine's log") {
    run_shell("printf unfinished; touch ready; exec sleep 1000");
    const auto w = create_ready();
    const auto next = next_generation(w);
    std::filesystem::remove(folder(w) / "ready");
    REQUIRE(create(next));
    REQUIRE(eventually([&] { return has(w, "ready"); }));
    const auto lines = lines_of(text_of(log_of(w)));
    REQUIRE(lines.size() == 4);
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
        const auto begin = "--- roundhouse: boot " + std::to_string(i / 2 + 1) + " at ";
        CAPTURE(lines[i]);
        CHECK(lines[i].starts_with(begin));
        constexpr std::string_view end = " ---";
        REQUIRE(lines[i].size() > begin.size() + end.size());
        CHECK(lines[i].ends_with(end));
        const auto time = lines[i].substr(begin.size(),
                                          lines[i].size() - begin.size() - end.size());
        CHECK(rh::http::parse_time(time));
        CHECK(lines[i + 1] == "unfinished");
    }
    CHECK(wait(backend().boot_logs(next.ref, 100)) == "unfinished");
}

TEST_CASE_METHOD(subprocess_fixture, "boot logs of an adopted engine are all its output") {
    run_shell("echo line; touch ready; exec sleep 1000");
    const auto w = create_ready();
    std::filesystem::remove(folder(w) / "ready");
    REQUIRE(create(next_generation(w)));
    REQUIRE(eventually([&] { return has(w, "ready"); }));
    CHECK(wait(backend().boot_logs(next_generation(w).ref, 100)) == "line\n");
    reopen();
    const auto all = wait(backend().boot_logs(next_generation(w).ref, 100)).value();
    CHECK(without_marks(all) == "line\nline\n");
}

TEST_CASE_METHOD(subprocess_fixture, "boot logs are complete after the log has been rotated") {
    options.log_limit_bytes = 100'000;
    options.log_check_interval = rh::duration{5};
    run_shell("if [ -e text ]; then cat text; else seq 1 10000; fi; touch ready; exec sleep 1000");
    const auto w = create_ready(); // which wrote some 49,000 bytes
    std::filesystem::remove(folder(w) / "ready");
    std::string written = "second\n";
    while (written.size() < 80'000) written += "a line of the second boot\n";
    std::ofstream{folder(w) / "text"} << written;
    const auto next = next_generation(w);
    REQUIRE(create(next));
    REQUIRE(eventually([&] {
        return has(w, "ready") && std::filesystem::exists(workload_folder(w) / "engine.log.1");
    }));
    CHECK(eventually(
        [&] { return wait(backend().boot_logs(next.ref, 100'000)).value() == written; }));
    const auto all = wait(backend().logs(next.ref, 100'000)).value();
    CHECK(without_marks(all).ends_with("10000\n" + written));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "the output of a chatty engine is bounded, and its end can be read all the time") {
    options.log_limit_bytes = 100'000;
    options.log_check_interval = rh::duration{5};
    run_shell("i=0; while :; do i=$((i+1)); echo \"line $i of an engine that has a lot to say\"; "
              "[ $i = 20000 ] && touch ready && exec sleep 1000; done");
    const auto w = create_ready();
    const auto size = [&](const char* file) {
        std::error_code missing;
        const auto bytes = std::filesystem::file_size(workload_folder(w) / file, missing);
        return missing ? 0 : bytes;
    };
    CHECK(eventually([&] { return size("engine.log") <= options.log_limit_bytes; }));
    CHECK(size("engine.log.1") > 0);
    // As much again may be written during the copy.
    CHECK(size("engine.log.1") <= 2 * options.log_limit_bytes + 65'536);
    CHECK(wait(backend().logs(w.ref, 1)) == "line 20000 of an engine that has a lot to say\n");
    // Across the seam of the two files.
    const auto lines = lines_of(wait(backend().logs(w.ref, 1500)).value());
    CHECK(lines.size() == 1500);
}

TEST_CASE_METHOD(subprocess_fixture, "a port is usable unless it is taken") {
    const auto port = free_port();
    CHECK(backend().port_usable(port));
    CHECK_FALSE(backend().port_usable(0));
    asio::io_context context;
    for (const auto& address : {asio::ip::address{asio::ip::address_v4::loopback()},
                                asio::ip::address{asio::ip::address_v4::any()}}) {
        const asio::ip::tcp::acceptor listening{context, {address, 0}};
        CHECK_FALSE(backend().port_usable(listening.local_endpoint().port()));
    }
}

TEST_CASE_METHOD(subprocess_fixture, "trouble names a folder of engines that cannot be used") {
    CHECK_FALSE(backend().trouble());
    CHECK(backend().name() == "subprocess");
    CHECK(backend().needs_port());
    const auto engines = store.path() / "engines";
    std::filesystem::remove_all(engines);
    REQUIRE(backend().trouble());
    CHECK(holds(*backend().trouble(), engines.string() + ": No such file or directory"));
    CHECK_FALSE(wait(backend().list()));
    CHECK_FALSE(create(new_workload()));
    std::filesystem::create_directory(engines);
    CHECK_FALSE(backend().trouble());
}

TEST_CASE_METHOD(subprocess_fixture, "what an engine writes is followed until it ends") {
    run_shell("mkfifo pipe; echo started; touch ready; "
              "while read line; do echo \"$line\"; done <> pipe");
    const auto w = create_ready();
    const rh::log_query query{.tail = 1, .follow = true};
    const auto source = wait(backend().open_logs(w.ref, query)).value();
    const auto next = [&] { return wait(source->next()).value(); };
    CHECK(next() == "started\n");
    for (const auto* const line : {"first\n", "second\n"}) {
        auto waiting = io->start(source->next());
        std::ofstream{folder(w) / "pipe"} << line;
        CHECK(io_threads::get(std::move(waiting)).value() == line);
    }
    REQUIRE(stop(w));
    CHECK(next().empty());
}

TEST_CASE_METHOD(subprocess_fixture, "a log is followed that is replaced") {
    run_shell("echo started; touch ready; exec sleep 1000");
    options.log_check_interval = std::chrono::milliseconds{10};
    const auto w = create_ready();
    const auto log = log_of(w);
    const rh::log_query query{.tail = 0, .follow = true};
    SECTION("while it is followed") {
        const auto source = wait(backend().open_logs(w.ref, query)).value();
        auto waiting = io->start(source->next());
        std::filesystem::remove(log);
        std::ofstream{log} << "of another file\n";
        CHECK(io_threads::get(std::move(waiting)).value() == "of another file\n");
        waiting = io->start(source->next());
        std::ofstream{log, std::ios::app} << "more\n";
        CHECK(io_threads::get(std::move(waiting)).value() == "more\n");
    }
    SECTION("before it is followed, and later") {
        std::filesystem::remove(log);
        const auto source = wait(backend().open_logs(w.ref, query)).value();
        auto waiting = io->start(source->next());
        std::ofstream{log} << "of another file\n";
        CHECK(io_threads::get(std::move(waiting)).value() == "of another file\n");
    }
}

TEST_CASE_METHOD(subprocess_fixture, "engines that have one file as their log are both followed") {
    run_shell("echo started; touch ready; exec sleep 1000");
    const auto first = create_ready();
    const auto second = create_ready();
    std::filesystem::remove(log_of(second));
    std::filesystem::create_hard_link(log_of(first), log_of(second));
    const rh::log_query query{.tail = 0, .follow = true};
    const auto of_first = wait(backend().open_logs(first.ref, query)).value();
    auto of_second = wait(backend().open_logs(second.ref, query)).value();
    auto first_waits = io->start(of_first->next());
    auto second_waits = io->start(of_second->next());
    std::ofstream{log_of(first), std::ios::app} << "a line\n";
    CHECK(io_threads::get(std::move(first_waits)).value() == "a line\n");
    CHECK(io_threads::get(std::move(second_waits)).value() == "a line\n");
    of_second.reset();
    first_waits = io->start(of_first->next());
    std::ofstream{log_of(first), std::ios::app} << "another\n";
    CHECK(io_threads::get(std::move(first_waits)).value() == "another\n");
}

TEST_CASE_METHOD(subprocess_fixture, "a link in place of a log is refused") {
    run_shell("echo started; touch ready; exec sleep 1000");
    const auto w = create_ready();
    const auto secret = store.path() / "secret";
    std::ofstream{secret} << "not for the engine\n";
    std::filesystem::remove(log_of(w));
    std::filesystem::create_symlink(secret, log_of(w));
    CHECK_FALSE(wait(backend().logs(w.ref, 10)));
    CHECK_FALSE(create(next_generation(w)));
    CHECK(text_of(secret) == "not for the engine\n");
    CHECK(wait(backend().destroy(w.ref)));
    CHECK(text_of(secret) == "not for the engine\n");
}

TEST_CASE_METHOD(subprocess_fixture,
                 "what lies in place of a log is refused by its kind, and told in the log") {
    const auto told = std::make_shared<removal_log>();
    options.log = [told](const rh::log_line& line) { told->sink()(line); };
    options.log_check_interval = std::chrono::milliseconds{10};
    run_shell("echo started; touch ready; exec sleep 1000");
    const auto w = create_ready();
    const auto log = log_of(w);
    std::filesystem::remove(log);
    std::string kind;
    SECTION("a link that leads nowhere") {
        std::filesystem::create_symlink(store.path() / "nowhere", log);
        kind = "link";
    }
    SECTION("a pipe without a reader") {
        REQUIRE(::mkfifo(log.c_str(), 0600) == 0);
        kind = "pipe";
    }
    SECTION("a folder") {
        std::filesystem::create_directory(log);
        kind = "folder";
    }
    CHECK(told->waits_for("remove it, and start the engine again " +
                          rh::to_string(w.ref.engine_id) + ' ' + log.string() + ' ' + kind));
    const auto refusal = log.string() + " is a " + kind + " instead of a file: remove it";
    CHECK(message_of(wait(backend().logs(w.ref, 10))) == refusal);
    CHECK(message_of(create(next_generation(w))) == refusal);
    CHECK(told->count("is no file") == 1);
    CHECK_FALSE(std::filesystem::exists(store.path() / "nowhere"));
}

TEST_CASE_METHOD(subprocess_fixture, "the destruction of the backend ends what is followed") {
    run_shell("echo started; touch ready; exec sleep 1000");
    const auto w = create_ready();
    const rh::log_query query{.tail = 0, .follow = true};
    const auto source = wait(backend().open_logs(w.ref, query)).value();
    auto waiting = io->start(source->next());
    close();
    CHECK(message_of(io_threads::get(std::move(waiting))) == "The server is shutting down.");
}
