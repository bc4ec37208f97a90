#include "catch.hpp"
#include "random_operations.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/testing/record_text.hpp>
#include <roundhouse/testing/store_conformance/contents.hpp>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

using namespace roundhouse;
using namespace roundhouse_tests;
using testing::contents_of;
using testing::difference;

namespace {

/// The expected contents of a store, and its next operations. A child process gets a copy by `fork`
/// and continues with it; its parent repeats what the child has acknowledged.
struct script {
    explicit script(std::uint32_t seed) : drawn(seed) {}

    operation next() { return drawn.next(model); }

    random_operations drawn;
    memory_store model;
};

// The child

enum exit_code : int { cannot_open = 10, disagrees = 11, cannot_acknowledge = 12 };

/// Works on the store until it is killed, and writes a byte for each operation that has returned.
/// Must neither return nor throw, because its parent's tests are on its stack.
[[noreturn]] void work_until_killed(const lmdb_options& options, script& script,
                                    int acknowledge) noexcept {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL); // must not outlive the test
    const auto store = lmdb_store::open(options);
    if (!store) ::_exit(cannot_open);
    for (;;) {
        const auto next = script.next();
        const auto answer = carry_out(**store, next);
        if (answer != carry_out(script.model, next)) ::_exit(disagrees);
        if (::write(acknowledge, "+", 1) != 1) ::_exit(cannot_acknowledge);
    }
}

// The parent

/// When to kill: a little after a number of acknowledged operations.
struct moment {
    std::size_t acknowledged = 0;
    unsigned spins = 0;
};

moment draw_moment(std::mt19937& random, unsigned most_acknowledged, unsigned most_spins) {
    const auto below = [&](unsigned bound) { return static_cast<unsigned>(random() % bound); };
    return {below(most_acknowledged + 1), below(most_spins + 1)};
}

void spin(unsigned times) {
    for (; times != 0; --times) std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// A child process at work, which is killed with the object.
class worker {
public:
    worker(const lmdb_options& options, script& script) {
        std::array<int, 2> ends{};
        REQUIRE(::pipe(ends.data()) == 0);
        child_ = ::fork();
        if (child_ == 0) {
            ::close(ends[0]);
            work_until_killed(options, script, ends[1]);
        }
        ::close(ends[1]);
        acknowledged_ = ends[0];
        REQUIRE(child_ > 0);
    }
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
    ~worker() {
        ::close(acknowledged_);
        if (child_ <= 0) return;
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }

    /// Kills the child. Returns the number of acknowledged operations.
    std::size_t kill_at(const moment& when) {
        std::size_t count = 0;
        for (char byte = 0; count < when.acknowledged; ++count)
            if (::read(acknowledged_, &byte, 1) != 1) break;
        spin(when.spins);
        ::kill(child_, SIGKILL);
        for (char byte = 0; ::read(acknowledged_, &byte, 1) == 1;) ++count;
        return count;
    }

    /// The wait status of the killed child.
    int reap() {
        int status = 0;
        REQUIRE(::waitpid(child_, &status, 0) == std::exchange(child_, -1));
        return status;
    }

private:
    pid_t child_ = -1;
    int acknowledged_ = -1;
};

std::string contents(const store auto& store) {
    return contents_of(store, random_operations::products());
}

/// Requires that the store has all acknowledged operations. It may also have the next one.
void require_whole(const lmdb_store& store, script& expected, std::size_t acknowledged) {
    for (std::size_t i = 0; i < acknowledged; ++i) carry_out(expected.model, expected.next());
    const auto held = contents(store);
    const auto without = difference(held, contents(expected.model));
    if (!without.empty()) {
        carry_out(expected.model, expected.next());
        const auto with = difference(held, contents(expected.model));
        INFO("without the last operation " << without << "\nwith it " << with);
        REQUIRE(with.empty());
    }
    const auto report = or_throw(store.verify());
    CAPTURE(report.problems);
    REQUIRE(report.problems.empty());
}

/// One store that is repeatedly killed and opened again.
class killed_store {
public:
    killed_store(std::mt19937::result_type seed, std::size_t map_size)
        : script_(static_cast<std::uint32_t>(seed)) {
        options_.folder = folder_.path() / "store";
        options_.map_size = map_size;
    }

    void kill_and_check(const moment& when) {
        worker child(options_, script_);
        const auto acknowledged = child.kill_at(when);
        const int status = child.reap();
        CAPTURE(when.acknowledged, when.spins, acknowledged);
        REQUIRE(status == SIGKILL); // another signal or an exit_code is a failure
        const auto store = or_throw(lmdb_store::open(options_));
        require_whole(*store, script_, acknowledged);
        if (!installation_id_) installation_id_ = store->installation_id();
        REQUIRE(store->installation_id() == *installation_id_);
    }

private:
    const temporary_folder folder_;
    lmdb_options options_;
    script script_;
    std::optional<uuid> installation_id_;
};

constexpr std::size_t usual_map = std::size_t{1} << 30U;
constexpr std::size_t tight_map = std::size_t{64} << 10U;

/// Kills a number of stores, each several times.
void kill_stores(std::uint32_t seed, int stores, std::size_t map_size) {
    constexpr int kills_of_a_store = 20;
    std::mt19937 random(seed);
    for (int n = 0; n < stores; ++n) {
        killed_store victim(random(), map_size);
        for (int kill = 0; kill < kills_of_a_store; ++kill) {
            CAPTURE(seed, n, kill);
            victim.kill_and_check(draw_moment(random, 30, 2'000'000));
        }
    }
}

} // namespace

TEST_CASE("a killed store has what it acknowledged, and no part of a batch") {
    kill_stores(1, 7, usual_map);
}

TEST_CASE("a store that is killed while its map grows has what it acknowledged") {
    kill_stores(2, 7, tight_map);
}

TEST_CASE("a store that is killed while it is created can be opened") {
    constexpr int stores = 100;
    std::mt19937 random(3);
    for (int n = 0; n < stores; ++n) {
        CAPTURE(n);
        killed_store victim(random(), n % 2 == 0 ? usual_map : tight_map);
        victim.kill_and_check(draw_moment(random, 0, 12'000'000));
    }
}
