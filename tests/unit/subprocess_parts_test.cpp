#include "../io_threads.hpp"
#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/boot_mark.hpp>
#include <roundhouse/backend/subprocess/engine_logs.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/launch.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/log_growth.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/backend/subprocess/supervisor.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/this_coro.hpp>
#include <fcntl.h>
#include <sys/wait.h>

using namespace roundhouse_tests;
namespace sub = rh::detail::subprocess;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& file, const std::string& text) {
    std::ofstream{file, std::ios::binary} << text;
}

asio::awaitable<rh::result<int>> answer_on(asio::any_io_executor expected) {
    const auto here = co_await asio::this_coro::executor;
    co_return here == expected ? 42 : 0;
}

asio::awaitable<rh::result<int>> never() {
    asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::hours{1}};
    co_await timer.async_wait(asio::use_awaitable);
    co_return 0;
}

} // namespace

TEST_CASE("the stat of a process is parsed after its name, which may contain anything") {
    const std::string rest = " S 10 20 30 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654321 100 200";
    for (const char* name : {"sleep", "a b", "x) R 1 2 3", ")", "(((", ""}) {
        const auto stat = sub::parse_process_stat("77 (" + std::string{name} + ")" + rest);
        REQUIRE(stat);
        CHECK(stat->state == 'S');
        CHECK(stat->parent == 10);
        CHECK(stat->group == 20);
        CHECK(stat->session == 30);
        CHECK(stat->start_time == 987654321);
    }
    for (const char* broken :
         {"", "77", "77 (sleep", "77 (sleep)", "77 (sleep) S", "77 (sleep) S 1 2 3"})
        CHECK_FALSE(sub::parse_process_stat(broken));
    const auto own = sub::read_process_stat(::getpid());
    REQUIRE(own);
    CHECK(own->parent == ::getppid());
    CHECK(own->session == ::getsid(0));
}

TEST_CASE("an identity is read only if it is whole") {
    const sub::process_identity made{.engine_id = roundhouse::uuid{{1}},
                                     .boot_id = "boot-1",
                                     .generation = 7,
                                     .port = 9001,
                                     .owner = {{}, "ada\nb"}};
    const auto head = sub::identity_head(made);
    const auto text = head + "123\nstart 456\nend\n";
    const auto identity = sub::parse_identity(text);
    REQUIRE(identity);
    CHECK(identity->engine_id == made.engine_id);
    CHECK(identity->boot_id == "boot-1");
    CHECK(identity->generation == 7);
    CHECK(identity->port == 9001);
    CHECK(identity->owner == made.owner);
    CHECK(identity->pid == 123);
    CHECK(identity->start_time == 456);
    for (std::size_t size = 0; size < text.size(); ++size)
        CHECK_FALSE(sub::parse_identity(text.substr(0, size)));
    for (const char* tail :
         {"1\nstart 456\nend\n", "0\nstart 456\nend\n", "-5\nstart 456\nend\n",
          "1x\nstart 4\nend\n", "99999999999999999999\nstart 4\nend\n", "123\nend\n"})
        CHECK_FALSE(sub::parse_identity(head + tail));
    CHECK_FALSE(sub::parse_identity(std::string(512, '\0')));
}

TEST_CASE("an identity has the user that the engine has for itself, and one of 0.1.0 none") {
    const sub::process_identity made{
        .boot_id = "b", .generation = 1, .port = 9001, .owner = {{}, "ada"}, .uid = 1'879'048'200};
    const auto tail = "123\nstart 456\nend\n";
    const auto text = sub::identity_head(made) + tail;
    REQUIRE(sub::parse_identity(text));
    CHECK(sub::parse_identity(text)->uid == made.uid);
    auto old = text;
    old.replace(0, old.find('\n'), "roundhouse-engine 2");
    CHECK_FALSE(sub::parse_identity(old)); // it had no such line
    for (const char* const name : {"engine ", "uid "}) {
        const auto line = old.find(std::string("\n") + name) + 1;
        old.erase(line, old.find('\n', line) + 1 - line);
    }
    REQUIRE(sub::parse_identity(old));
    CHECK(sub::parse_identity(old)->uid == 0);
    CHECK(sub::parse_identity(old)->pid == 123);
}

TEST_CASE("a link, a folder or a pipe in place of an identity counts as damage") {
    const temporary_folder folder;
    const auto file = folder.path() / sub::identity_name;
    CHECK(sub::read_identity(file) == std::nullopt);
    CHECK(sub::read_identity(folder.path() / "missing" / sub::identity_name) == std::nullopt);
    SECTION("a link") { fs::create_symlink("/etc/passwd", file); }
    SECTION("a folder") { fs::create_directory(file); }
    SECTION("a pipe without a writer") { REQUIRE(::mkfifo(file.c_str(), 0600) == 0); }
    CHECK(sub::read_identity(file) == std::nullopt);
}

TEST_CASE("the engine of an environment is the value of the variable with the exact name") {
    using namespace std::string_literals;
    const auto id = fresh_id();
    const auto text = to_string(id);
    CHECK(sub::engine_in("ENGINE_ID=" + text + "\0"s) == id);
    CHECK(sub::engine_in("A=b\0ENGINE_ID="s + text + "\0C=d\0"s) == id);
    CHECK_FALSE(sub::engine_in("MY_ENGINE_ID=" + text + "\0"s));
    CHECK_FALSE(sub::engine_in("A=ENGINE_ID=" + text + "\0"s));
    CHECK_FALSE(sub::engine_in("ENGINE_ID=" + text + "x\0"s));
    CHECK_FALSE(sub::engine_in("ENGINE_ID=\0"s));
    CHECK_FALSE(sub::engine_in(""));
}

TEST_CASE("an engine of another store, such as a copy, has the id in vain") {
    const temporary_folder store;
    const temporary_folder copy;
    const auto id = fresh_id();
    const auto name = "ENGINE_ID=" + to_string(id) + '\0';
    const auto in = [&](const fs::path& engines) {
        return name + "TMPDIR=" + (engines / to_string(id) / "tmp").string() + '\0';
    };
    const auto mark = sub::store_mark(store.path().string());
    CHECK(sub::engine_in(in(store.path()), mark) == id);
    CHECK(sub::engine_in(in(copy.path()), mark) == std::nullopt);
    CHECK(sub::engine_in(in(store.path() / "moved"), mark) == id); // there is none any more
    CHECK(sub::engine_in(name + "TMPDIR=/var/tmp" + '\0', mark) == id);
    CHECK(sub::engine_in(name, mark) == id);
    CHECK(sub::engine_in(in(copy.path())) == id);
}

TEST_CASE("a tail has whole lines, the newest, of both files") {
    const temporary_folder folder;
    const auto tail = [&](std::size_t lines, std::size_t most = 1000) {
        return sub::read_log_tail(folder.path(), lines, most).value();
    };
    CHECK(tail(5).empty());
    write(folder.path() / sub::log_name, "c\nd\n");
    CHECK(tail(5) == "c\nd\n");
    CHECK(tail(1) == "d\n");
    write(folder.path() / sub::old_log_name, "a\nb\n");
    CHECK(tail(1) == "d\n");
    CHECK(tail(2) == "c\nd\n");
    CHECK(tail(3) == "b\nc\nd\n");
    CHECK(tail(100) == "a\nb\nc\nd\n");
    CHECK(tail(0).empty());
    CHECK(tail(100, 5) == "\nc\nd\n");
    write(folder.path() / sub::log_name, "c\n\nend");
    CHECK(tail(1) == "end");
    CHECK(tail(2) == "\nend");
    CHECK(tail(4) == "b\nc\n\nend");
    write(folder.path() / sub::log_name, "");
    CHECK(tail(1) == "b\n");
    const auto long_line = std::string(200'000, 'x') + '\n';
    write(folder.path() / sub::log_name, long_line + long_line);
    CHECK(tail(1, 1'000'000) == long_line);
    CHECK(tail(1, 100'000) == long_line.substr(long_line.size() - 100'000));
}

TEST_CASE("a log above its bound is truncated, and its end is kept") {
    const temporary_folder folder;
    const auto log = folder.path() / sub::log_name;
    write(log, "0123456789");
    CHECK_FALSE(sub::bound_log(folder.path(), 10).has_value());
    CHECK(text_of(log) == "0123456789");
    const sub::descriptor writer{::open(log.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)};
    REQUIRE(::write(writer.get(), "abcde", 5) == 5);
    const auto rotation = sub::bound_log(folder.path(), 10);
    REQUIRE(rotation.has_value());
    CHECK(rotation->size == 15);
    CHECK(rotation->kept_from == 5);
    CHECK(rotation->kept);
    CHECK(text_of(log).empty());
    CHECK(text_of(folder.path() / sub::old_log_name) == "56789abcde");
    // An open descriptor appends at the new end.
    REQUIRE(::write(writer.get(), "next", 4) == 4);
    CHECK(text_of(log) == "next");
}

TEST_CASE("a tail begins no earlier than its start") {
    const temporary_folder folder;
    const auto tail = [&](const sub::log_position& start, std::size_t lines = 100) {
        return sub::read_log_tail(folder.path(), lines, 1'000, start).value();
    };
    write(folder.path() / sub::old_log_name, "a\nb\n");
    write(folder.path() / sub::log_name, "c\nd\n");
    CHECK(tail({}) == "a\nb\nc\nd\n");
    CHECK(tail({.log = 0, .old_log = 2}) == "b\nc\nd\n");
    CHECK(tail({.log = 0, .old_log = 4}) == "c\nd\n");
    CHECK(tail({.log = 0, .old_log = std::nullopt}) == "c\nd\n");
    CHECK(tail({.log = 2, .old_log = std::nullopt}) == "d\n");
    CHECK(tail({.log = 4, .old_log = std::nullopt}).empty());
    CHECK(tail({.log = 0, .old_log = 2}, 2) == "c\nd\n");
    // A file that is shorter has been truncated since.
    CHECK(tail({.log = 9, .old_log = std::nullopt}) == "c\nd\n");
}

TEST_CASE("the start of an output moves with the rotations of its log") {
    const sub::log_position start{.log = 60, .old_log = std::nullopt};
    const auto once = start.after({.size = 110, .kept_from = 10});
    CHECK(once.log == 0);
    CHECK(once.old_log == 50U);
    const auto cut = start.after({.size = 200, .kept_from = 100});
    CHECK(cut.old_log == 0U);
    const auto twice = once.after({.size = 110, .kept_from = 10});
    CHECK(twice.log == 0);
    CHECK(twice.old_log == 0U);
    const auto lost = start.after({.size = 110, .kept_from = 10, .kept = false});
    CHECK(lost.log == 0);
    CHECK_FALSE(lost.old_log.has_value());
}

TEST_CASE("the start of an output is known for the last generation that was launched") {
    const temporary_folder folder;
    const rh::workload_ref second{.engine_id = fresh_id(), .generation = 2, .port = 0};
    auto first = second;
    first.generation = 1;
    auto third = second;
    third.generation = 3;
    sub::output_starts starts;
    const auto is_all = [&](const rh::workload_ref& ref) {
        const auto start = starts.find(ref);
        return start && start->log == 0 && start->old_log == 0U;
    };
    CHECK(is_all(second));                // as of an adopted engine
    starts.record(second, folder.path()); // which has no log yet
    CHECK(starts.find(second)->log == 0);
    CHECK_FALSE(starts.find(second)->old_log.has_value());
    CHECK(is_all(first));
    CHECK_FALSE(starts.find(third).has_value()); // was never launched
    write(folder.path() / sub::log_name, "0123456789");
    starts.record(third, folder.path());
    CHECK(starts.find(third)->log == 10);
    starts.forget(third.engine_id);
    CHECK(is_all(third));
}

TEST_CASE("a launch during a rotation is before or after it by the size of its log") {
    const temporary_folder folder;
    const rh::workload_ref ref{.engine_id = fresh_id(), .generation = 1, .port = 0};
    const sub::log_rotation rotation{.size = 20, .kept_from = 10};
    sub::output_starts starts;
    SECTION("launched before the rotation began") {
        write(folder.path() / sub::log_name, "012345678901234");
        starts.record(ref, folder.path());
        starts.rotated(ref.engine_id, rotation, starts.count());
        CHECK(starts.find(ref)->log == 0);
        CHECK(starts.find(ref)->old_log == 5U);
    }
    SECTION("launched before the log was truncated") {
        const auto count = starts.count();
        write(folder.path() / sub::log_name, std::string(25, 'x'));
        starts.record(ref, folder.path());
        starts.rotated(ref.engine_id, rotation, count);
        CHECK(starts.find(ref)->old_log == 15U);
    }
    SECTION("launched after the log was truncated") {
        const auto count = starts.count();
        write(folder.path() / sub::log_name, "0123");
        starts.record(ref, folder.path());
        starts.rotated(ref.engine_id, rotation, count);
        CHECK(starts.find(ref)->log == 4);
        CHECK_FALSE(starts.find(ref)->old_log.has_value());
    }
    starts.rotated(fresh_id(), rotation, starts.count()); // of an adopted engine
}

TEST_CASE("an engine's output is read on from a place, over both logs") {
    const temporary_folder folder;
    const auto path = folder.path().string();
    write(folder.path() / sub::old_log_name, "old lines\n");
    write(folder.path() / sub::log_name, "new lines\n");
    sub::log_position position;
    const auto read = [&](std::size_t most) {
        return sub::read_piece(path, position, most).value();
    };
    CHECK(read(6) == "old li");
    CHECK(read(100) == "nes\n");
    CHECK(read(100) == "new lines\n");
    CHECK(read(100).empty());
    SECTION("what is appended comes next") {
        std::ofstream(folder.path() / sub::log_name, std::ios::app) << "more\n";
        CHECK(read(100) == "more\n");
    }
    SECTION("after a rotation, what was not read of the older log comes first") {
        std::ofstream(folder.path() / sub::log_name, std::ios::app) << "unread\n";
        const auto rotation = sub::bound_log(path, 10);
        REQUIRE(rotation);
        position = position.after(*rotation);
        std::ofstream(folder.path() / sub::log_name, std::ios::app) << "latest\n";
        CHECK(read(100) == "unread\n");
        CHECK(read(100) == "latest\n");
    }
    SECTION("a log that was truncated by somebody else is read from its beginning") {
        write(folder.path() / sub::log_name, "x\n");
        CHECK(read(100) == "x\n");
    }
    SECTION("what there is from a place on is counted over both logs") {
        CHECK(sub::bytes_from(path, {}) == 20);
        CHECK(sub::bytes_from(path, {.log = 3, .old_log = 4}) == 13);
        CHECK(sub::bytes_from(path, {.log = 3, .old_log = std::nullopt}) == 7);
        CHECK(sub::bytes_from(path, {.log = 50, .old_log = std::nullopt}) == 10); // truncated
    }
    SECTION("without logs there is nothing") {
        fs::remove(folder.path() / sub::log_name);
        fs::remove(folder.path() / sub::old_log_name);
        CHECK(read(100).empty());
    }
}

TEST_CASE(
    "a reader gets an engine's output as it was at first, also after the rotation of the log") {
    const temporary_folder folder;
    io_threads io;
    const auto engine = fresh_id();
    const auto engines = folder.path().string();
    fs::create_directories(folder.path() / rh::to_string(engine));
    const auto log = folder.path() / rh::to_string(engine) / sub::log_name;
    std::string all;
    const auto write_lines = [&](int from, int to) {
        std::string lines;
        for (int i = from; i < to; ++i) lines += "line " + std::to_string(i) + '\n';
        std::ofstream(log, std::ios::app) << lines;
        all += lines;
    };
    constexpr std::uint64_t limit = 70'000;
    const auto logs = std::make_shared<sub::engine_logs>(io.executor(), engines, limit, limit);
    write_lines(0, 8'000); // 78,890 bytes
    const rh::log_query everything{.tail = std::nullopt};
    auto opening = logs->open(engine, everything, nullptr);
    const auto source = io.wait(rh::detail::run_on(logs->strand(), std::move(opening))).value();
    std::string text = io.wait(source->next()).value();
    auto looking = logs->look({engine});
    CHECK(io.wait(rh::detail::run_on(logs->strand(), std::move(looking))).size() == 1);
    const auto at_first = all;
    write_lines(8'000, 9'000);
    for (std::string piece = "x"; !piece.empty(); text += piece)
        piece = io.wait(source->next()).value();
    CHECK(text == at_first);
}

TEST_CASE("the mark of a boot has its generation and its time, on a line of its own") {
    const auto mark = sub::boot_mark(7, rh::instant{std::chrono::milliseconds{1'700'000'000'123}});
    CHECK(mark == "--- roundhouse: boot 7 at 2023-11-14T22:13:20.123Z ---\n");
    const temporary_folder folder;
    const auto log = folder.path() / sub::log_name;
    const auto appended = [&](const std::string& before) {
        write(log, before);
        const auto file = sub::open_regular(log, O_WRONLY | O_APPEND);
        REQUIRE(file);
        sub::mark_boot(file.get(), folder.path(), mark);
        return text_of(log);
    };
    CHECK(appended("") == mark);
    CHECK(appended("a line\n") == "a line\n" + mark);
    CHECK(appended("unfinished") == "unfinished\n" + mark);
}

TEST_CASE("the last lines of an output begin at a place") {
    const temporary_folder folder;
    const auto path = folder.path().string();
    write(folder.path() / sub::old_log_name, "1\n2\n3\n");
    write(folder.path() / sub::log_name, "4\n5\n");
    const auto place_of = [&](std::size_t lines, sub::log_position start = {}) {
        REQUIRE(sub::read_tail(sub::tail_reader(lines, 1000), path, start));
        return std::pair(start.log, start.old_log);
    };
    CHECK(place_of(0) == std::pair(std::uint64_t{4}, std::optional<std::uint64_t>()));
    CHECK(place_of(1) == std::pair(std::uint64_t{2}, std::optional<std::uint64_t>()));
    CHECK(place_of(3) == std::pair(std::uint64_t{0}, std::optional<std::uint64_t>(4)));
    CHECK(place_of(100) == std::pair(std::uint64_t{0}, std::optional<std::uint64_t>(0)));
    CHECK(place_of(100, {.log = 2, .old_log = std::nullopt}) ==
          std::pair(std::uint64_t{2}, std::optional<std::uint64_t>()));
}

TEST_CASE("the growth of a log tells where the output since a time begins") {
    const auto at = [](int second) { return rh::instant{std::chrono::seconds{second}}; };
    const auto place = [](const sub::log_position& position) {
        return position.old_log ? "old " + std::to_string(*position.old_log)
                                : "log " + std::to_string(position.log);
    };
    sub::log_growth growth;
    CHECK(place(growth.position_at(at(0))) == "old 0");
    growth.note(100, at(10));
    growth.note(100, at(10));
    growth.note(150, at(20));
    growth.note(200, at(30));
    CHECK(place(growth.position_at(at(5))) == "old 0");
    CHECK(place(growth.position_at(at(10))) == "old 0"); // some may be of that moment
    CHECK(place(growth.position_at(at(10) + std::chrono::milliseconds{10})) == "old 0");
    CHECK(place(growth.position_at(at(10) + std::chrono::milliseconds{11})) == "log 100");
    CHECK(place(growth.position_at(at(11))) == "log 100");
    CHECK(place(growth.position_at(at(25))) == "log 150");
    CHECK(place(growth.position_at(at(31))) == "log 200");
    growth.rotated({.size = 200, .kept_from = 120, .kept_to = 210});
    growth.note(40, at(40));
    CHECK(place(growth.position_at(at(11))) == "old 0"); // no longer known
    CHECK(place(growth.position_at(at(25))) == "old 30");
    CHECK(place(growth.position_at(at(35))) == "old 80");
    CHECK(place(growth.position_at(at(41))) == "log 40");
    growth.rotated({.size = 50, .kept_from = 10, .kept_to = 10, .kept = false});
    growth.note(5, at(50));
    CHECK(place(growth.position_at(at(45))) == "log 0");
    CHECK(place(growth.position_at(at(51))) == "log 5");
}

TEST_CASE("the growth of a log is known less exactly the longer ago it was, and never too late") {
    sub::log_growth growth;
    const auto at = [](int second) { return rh::instant{std::chrono::seconds{second}}; };
    constexpr int seconds = 10'000;
    for (int i = 1; i <= seconds; ++i) growth.note(static_cast<std::uint64_t>(i) * 10, at(i));
    for (int since = 2; since <= seconds; since += 7) {
        const auto position = growth.position_at(at(since));
        const auto exact = static_cast<std::uint64_t>(since - 1) * 10;
        CAPTURE(since, position.log);
        CHECK(position.log <= exact);
        if (since > seconds - 900) CHECK(position.log == exact);
    }
}

TEST_CASE("a folder of any depth is removed, and links in it are not followed") {
    const temporary_folder folder;
    const auto top = folder.path() / "engine";
    const auto other = folder.path() / "other";
    fs::create_directories(other);
    write(other / "kept", "x");
    auto deep = top;
    for (int i = 0; i < 200; ++i) deep /= "folder";
    fs::create_directories(deep);
    write(deep / "file", "x");
    write(top / ".roundhouse-removed-0", "x");
    fs::create_directories(top / ".roundhouse-removed-1/x");
    fs::create_directory_symlink(other, top / "link");
    for (int i = 0; i < 500; ++i) write(top / ("file-" + std::to_string(i)), "x");
    REQUIRE(::mkfifo((top / "pipe").c_str(), 0600) == 0);
    CHECK(sub::remove_folder(top));
    CHECK_FALSE(fs::exists(top));
    CHECK(fs::exists(other / "kept"));
    CHECK(sub::remove_folder(top)); // again
}

TEST_CASE("a folder is removed also if its owner has removed the owner's rights") {
    const temporary_folder folder;
    const auto top = folder.path() / "engine";
    fs::create_directories(top / "a/b/c");
    write(top / "a/b/c/file", "x");
    constexpr uid_t nobody = 65534;
    if (::getuid() == 0) { // root needs no rights
        for (const auto& each : fs::recursive_directory_iterator{folder.path()})
            REQUIRE(::lchown(each.path().c_str(), nobody, nobody) == 0);
        REQUIRE(::lchown(folder.path().c_str(), nobody, nobody) == 0);
    }
    for (const char* each : {"a/b/c", "a/b", "a", ""})
        fs::permissions(top / each, fs::perms::owner_read);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::getuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) ::_exit(2);
        ::_exit(sub::remove_folder(top) ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK_FALSE(fs::exists(top));
}

TEST_CASE("a failure to remove a folder names the path and the cause") {
    const temporary_folder folder;
    const auto top = folder.path() / "engine";
    fs::create_directories(top / "a");
    constexpr uid_t nobody = 65534;
    if (::getuid() != 0)
        ROUNDHOUSE_SKIP("only root can make a folder that its caller cannot remove");
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    REQUIRE(::chmod(top.c_str(), 0755) == 0);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setresuid(nobody, nobody, nobody) != 0) ::_exit(2);
        const auto removed = sub::remove_folder(top);
        const auto outcome = removed ? std::string{"removed"} : removed.error().message;
        ::_exit(::write(ends[1], outcome.data(), outcome.size()) > 0 ? 0 : 1);
    }
    ::close(ends[1]);
    std::string outcome(1000, '\0');
    outcome.resize(static_cast<std::size_t>(::read(ends[0], outcome.data(), outcome.size())));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    CHECK(outcome == "cannot remove " + top.string() + "/a: Permission denied");
}

TEST_CASE(
    "run_on runs a coroutine on another strand, returns to its own, and passes on cancellation") {
    io_threads io{3};
    const asio::any_io_executor strand = asio::make_strand(io.context());
    CHECK(io.wait(rh::detail::run_on(strand, answer_on(strand))) == 42);

    for (int i = 0; i < 200; ++i) {
        asio::cancellation_signal cancel;
        const auto home = asio::make_strand(io.context());
        auto pending = asio::co_spawn(
            home, rh::detail::run_on(strand, never()),
            asio::bind_cancellation_slot(cancel.slot(), asio::use_future));
        asio::post(home, [&] { cancel.emit(asio::cancellation_type::terminal); });
        CHECK_THROWS_AS(io_threads::get(std::move(pending)), std::system_error);
    }
}
