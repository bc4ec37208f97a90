#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/data_copies.hpp>
#include <roundhouse/backend/subprocess/tree_copy.hpp>
#include <roundhouse/crypto/keys.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

using namespace roundhouse_tests;
namespace rh = roundhouse;
namespace sub = rh::detail::subprocess;
namespace fs = std::filesystem;

namespace {

/// Copies a folder with rests as often as there may be, and returns the outcome.
rh::result<bool> copy_of(const fs::path& from, const fs::path& to,
                         std::optional<std::uint64_t> max_bytes = std::nullopt) {
    fs::create_directory(to);
    sub::tree_copy copy{from.string(), to.string(), max_bytes, std::chrono::seconds{0}};
    std::optional<rh::result<bool>> outcome;
    asio::io_context context;
    asio::co_spawn(context, copy.make(), [&](const std::exception_ptr&, rh::result<bool> copied) {
        outcome = std::move(copied);
    });
    context.run();
    REQUIRE(outcome);
    return *outcome;
}

void write(const fs::path& file, const std::string& text) { std::ofstream{file} << text; }
std::string read(const fs::path& file) {
    std::ifstream in{file};
    return {std::istreambuf_iterator<char>{in}, {}};
}
struct stat status_of(const fs::path& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status;
}

/// The folders of a store's engines, and one engine.
class one_engine {
public:
    one_engine() { fs::create_directory(engines()); }

    [[nodiscard]] fs::path engines() const { return folder_.path() / "engines"; }
    [[nodiscard]] fs::path data() const { return engines() / to_string(id); }
    [[nodiscard]] fs::path copy() const { return fs::path{copies.whole()} / to_string(id); }

    /// Makes a copy that says this.
    void make_copy(const std::string& text) {
        const auto part = copies.begin(id);
        REQUIRE(part);
        write(fs::path{*part} / "says", text);
        REQUIRE(copies.finish(id));
    }
    void make_data(const std::string& text) {
        fs::create_directory(data());
        write(data() / "says", text);
    }

private:
    const temporary_folder folder_;

public:
    const rh::uuid id = rh::crypto::make_uuid(rh::crypto::system_entropy);
    const sub::data_copies copies{engines().string()};
};

} // namespace

TEST_CASE("a copy of a folder has its files, folders and links as they are") {
    const temporary_folder folder;
    const auto from = folder.path() / "from";
    const auto to = folder.path() / "to";
    fs::create_directories(from / "below" / "further");
    write(from / "file", std::string(3'000'000, 'x'));
    write(from / "below" / "further" / "deep", "deep");
    ::chmod((from / "file").c_str(), 0640);
    ::chmod((from / "below").c_str(), 0750);
    fs::create_symlink("/etc/passwd", from / "link");
    fs::create_hard_link(from / "file", from / "below" / "second");
    const struct timespec times[2]{{1'000, 5}, {2'000, 6}};
    REQUIRE(::utimensat(AT_FDCWD, (from / "file").c_str(), times, 0) == 0);
    REQUIRE(::utimensat(AT_FDCWD, (from / "below").c_str(), times, 0) == 0);

    const auto copied = copy_of(from, to);
    REQUIRE(copied);
    CHECK(*copied);
    CHECK(read(to / "file") == std::string(3'000'000, 'x'));
    CHECK(read(to / "below" / "second") == std::string(3'000'000, 'x'));
    CHECK(read(to / "below" / "further" / "deep") == "deep");
    CHECK(fs::read_symlink(to / "link") == "/etc/passwd");
    for (const auto* const name : {"file", "below"}) {
        const auto original = status_of(from / name);
        const auto made = status_of(to / name);
        CHECK(made.st_mode == original.st_mode);
        CHECK(made.st_uid == original.st_uid);
        CHECK(made.st_mtim.tv_sec == original.st_mtim.tv_sec);
        CHECK(made.st_mtim.tv_nsec == original.st_mtim.tv_nsec);
    }
}

TEST_CASE("a copy leaves out pipes and does not wait for them") {
    const temporary_folder folder;
    const auto from = folder.path() / "from";
    fs::create_directory(from);
    REQUIRE(::mkfifo((from / "pipe").c_str(), 0600) == 0);
    write(from / "file", "text");
    const auto copied = copy_of(from, folder.path() / "to");
    REQUIRE(copied);
    CHECK(*copied);
    CHECK_FALSE(fs::exists(folder.path() / "to" / "pipe"));
    CHECK(read(folder.path() / "to" / "file") == "text");
}

TEST_CASE("a hole in a file is neither copied nor counted") {
    const temporary_folder folder;
    const auto from = folder.path() / "from";
    fs::create_directory(from);
    constexpr std::uintmax_t size = std::uintmax_t{64} * 1024 * 1024;
    write(from / "sparse", "begins");
    fs::resize_file(from / "sparse", size);
    if (static_cast<std::uintmax_t>(status_of(from / "sparse").st_blocks) * 512 >= size) {
        WARN("skipped: this file system has no holes");
        return;
    }
    const auto copied = copy_of(from, folder.path() / "to", size / 2);
    REQUIRE(copied);
    CHECK(*copied);
    const auto made = status_of(folder.path() / "to" / "sparse");
    CHECK(static_cast<std::uintmax_t>(made.st_size) == size);
    CHECK(static_cast<std::uintmax_t>(made.st_blocks) * 512 < size);
    CHECK(read(folder.path() / "to" / "sparse").starts_with("begins"));
}

TEST_CASE("a copy ends where it has more than its bound") {
    const temporary_folder folder;
    const auto from = folder.path() / "from";
    fs::create_directory(from);
    for (const auto* const name : {"a", "b", "c"}) write(from / name, std::string(100'000, 'x'));
    const auto within = copy_of(from, folder.path() / "within", 300'000);
    REQUIRE(within);
    CHECK(*within);
    const auto beyond = copy_of(from, folder.path() / "beyond", 299'999);
    REQUIRE(beyond);
    CHECK_FALSE(*beyond);
}

TEST_CASE("a link in the place of a data folder is not followed") {
    const temporary_folder folder;
    fs::create_directory(folder.path() / "elsewhere");
    fs::create_directory_symlink(folder.path() / "elsewhere", folder.path() / "from");
    const auto copied = copy_of(folder.path() / "from", folder.path() / "to");
    REQUIRE_FALSE(copied);
    CHECK(copied.error().message.find("is a link instead of the engine's data folder") !=
          std::string::npos);
}

TEST_CASE("a copying can be cancelled between two files") {
    const temporary_folder folder;
    const auto from = folder.path() / "from";
    const auto to = folder.path() / "to";
    fs::create_directory(from);
    fs::create_directory(to);
    for (int i = 0; i < 1'000; ++i) write(from / std::to_string(i), "x");
    sub::tree_copy copy{from.string(), to.string(), std::nullopt, std::chrono::seconds{0}};
    asio::io_context context;
    asio::cancellation_signal cancel;
    std::exception_ptr thrown;
    asio::co_spawn(context, copy.make(),
                   asio::bind_cancellation_slot(cancel.slot(),
                                                [&](const std::exception_ptr& why,
                                                    const rh::result<bool>&) { thrown = why; }));
    context.run_one(); // to the first rest
    cancel.emit(asio::cancellation_type::terminal);
    context.run();
    CHECK(thrown);
    CHECK_FALSE(fs::is_empty(to));
    CHECK(std::distance(fs::directory_iterator{to}, {}) < 1'000);
}

TEST_CASE("a restoring goes on from each state that it may have been interrupted in") {
    one_engine engine;
    engine.make_copy("old");
    CHECK(engine.copies.has(engine.id));

    SECTION("before the data was taken away nothing is to be mended") {
        engine.make_data("new");
        REQUIRE(engine.copies.mend(engine.id));
        CHECK(read(engine.data() / "says") == "new");
        CHECK(engine.copies.has(engine.id));
    }
    SECTION("after it was, the copy takes its place") {
        REQUIRE(engine.copies.mend(engine.id));
        CHECK(read(engine.data() / "says") == "old");
        CHECK_FALSE(engine.copies.has(engine.id));
        REQUIRE(engine.copies.mend(engine.id));
        CHECK(read(engine.data() / "says") == "old");
    }
    SECTION("data that is there is not replaced") {
        engine.make_data("new");
        CHECK_FALSE(engine.copies.put_back(engine.id));
        CHECK(read(engine.data() / "says") == "new");
        CHECK(read(engine.copy() / "says") == "old");
    }
}

TEST_CASE("copies are not taken for the folders of engines") {
    one_engine engine;
    engine.make_data("new");
    engine.make_copy("old");
    const auto listed = sub::engines_in(engine.engines().string());
    REQUIRE(listed);
    CHECK(*listed == std::vector<rh::uuid>{engine.id});
    CHECK(status_of(engine.copies.whole()).st_mode == (S_IFDIR | 0700));
}
