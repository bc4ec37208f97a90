#include "catch.hpp"
#include "tampering.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>

#include <lmdb.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace roundhouse;
using roundhouse_tests::raw_database;
using roundhouse_tests::tamper;
using roundhouse_tests::temporary_folder;

namespace {

const uuid demo{{1}};

lmdb_options options_in(const temporary_folder& folder) {
    lmdb_options options;
    options.folder = folder.path() / "store";
    return options;
}

const audit_query all_rows{demo, {}, {}, {}, {}, {}, {}, 10};

std::string user(int n) { return "user-" + std::to_string(n); }

/// Adds the n-th engine, with an audit row.
result<committed> add(lmdb_store& store, int n, std::string sealed_key = "token") {
    engine_record engine;
    for (std::size_t i = 0; i < 4; ++i)
        engine.id.bytes[i] = static_cast<std::uint8_t>(n >> (8 * i));
    engine.product_id = demo;
    engine.user_id = user(n);
    engine.sealed_key = std::move(sealed_key);
    audit_entry row;
    row.product_id = demo;
    row.user_id = engine.user_id;
    row.engine_id = engine.id;
    row.timestamp = instant{std::chrono::seconds{n}};
    change_set set;
    set.changes.push_back(insert_engine{engine, {}, {}});
    set.audit.push_back(row);
    return store.commit(set);
}

/// The key of the engine with the lowest id, which is that of user 1.
std::string number_of_first(const lmdb_options& options) {
    std::string number;
    tamper(options, "engines_by_id", [&](std::string& found) { number = found; });
    return number;
}

/// Changes a record behind its checksum, which is right afterwards.
void tamper_record(const lmdb_options& options, const char* database, const std::string& key,
                   const std::function<void(std::string&)>& change) {
    const auto change_record = [&](std::string& record) {
        auto body = record.substr(sizeof(std::uint64_t));
        change(body);
        const auto sum = detail::lmdb::checksum(body);
        record = std::string(reinterpret_cast<const char*>(&sum), sizeof sum) + body;
    };
    tamper(options, database, change_record, key);
}

bool names(const error& failure, std::string_view word) {
    return failure.message.find(word) != std::string::npos;
}

} // namespace

TEST_CASE("what was committed to an LMDB store is there after it is opened again") {
    const temporary_folder folder;
    uuid installation_id;
    {
        const auto store = or_throw(lmdb_store::open(options_in(folder)));
        installation_id = store->installation_id();
        REQUIRE(add(*store, 1));
    }
    const auto again = or_throw(lmdb_store::open(options_in(folder)));
    CHECK(again->installation_id() == installation_id);
    CHECK(or_throw(again->find_engine(demo, user(1)))->revision == 1);
    CHECK(or_throw(again->counts(demo)).total_provisions == 1);
    REQUIRE(add(*again, 2));
    CHECK(or_throw(again->find_engine(demo, user(2)))->sequence == 2);
    CHECK(or_throw(again->audit(all_rows)).entries.front().id == 2);
}

TEST_CASE("only the owner can read the folder that a store creates") {
    const temporary_folder folder;
    const auto store = or_throw(lmdb_store::open(options_in(folder)));
    struct stat found {};
    REQUIRE(::stat(options_in(folder).folder.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777U) == 0700U);
    REQUIRE(::stat((options_in(folder).folder + "/data.mdb").c_str(), &found) == 0);
    CHECK((found.st_mode & 0777U) == 0600U);
}

TEST_CASE("a folder belongs to one store object at a time") {
    const temporary_folder folder;
    {
        const auto store = or_throw(lmdb_store::open(options_in(folder)));
        const auto second = lmdb_store::open(options_in(folder));
        REQUIRE_FALSE(second);
        CHECK(names(second.error(), "in use"));
        CHECK(names(second.error(), options_in(folder).folder));
    }
    CHECK(lmdb_store::open(options_in(folder)));
}

TEST_CASE("opening a folder read-only does not create a store") {
    const temporary_folder folder;
    auto options = options_in(folder);
    options.read_only = true;
    CHECK_FALSE(lmdb_store::open(options));
    CHECK_FALSE(std::filesystem::exists(options.folder));
    std::filesystem::create_directory(options.folder);
    const auto none = lmdb_store::open(options);
    REQUIRE_FALSE(none);
    CHECK(names(none.error(), "holds no store"));
    CHECK(std::filesystem::is_empty(options.folder));
}

TEST_CASE("a store of a newer schema is refused and left unchanged") {
    const temporary_folder folder;
    or_throw(lmdb_store::open(options_in(folder)));
    tamper(
        options_in(folder), "meta", [](std::string& version) { ++version.back(); }, "schema");
    const auto refused = lmdb_store::open(options_in(folder));
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), "schema version is 3"));
}

TEST_CASE("a store whose records may have sections that are not known is refused") {
    const temporary_folder folder;
    or_throw(lmdb_store::open(options_in(folder)));
    tamper(
        options_in(folder), "meta", [](std::string& version) { ++version.back(); }, "layout");
    auto options = options_in(folder);
    options.read_only = GENERATE(false, true);
    const auto refused = lmdb_store::open(options);
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), "layout version is " + std::to_string(detail::lmdb::layout + 1)));
}

TEST_CASE("engines whose owners have the same hash are told apart") {
    const temporary_folder folder;
    or_throw(lmdb_store::open(options_in(folder)));
    tamper_record(options_in(folder), "meta", "owner_hash",
                  [](std::string& key) { key.back() = 1; }); // of the hashes' bits
    const auto store = or_throw(lmdb_store::open(options_in(folder)));
    const int engines = 40; // with two hashes
    for (int n = 1; n <= engines; ++n) REQUIRE(add(*store, n));
    CHECK_FALSE(add(*store, 7)); // the owner has one
    const auto is_found = [&](int n) {
        const auto found = or_throw(store->find_engine(demo, user(n)));
        return found && found->user_id == user(n);
    };
    for (int n = 1; n <= engines; ++n) CHECK(is_found(n));
    CHECK_FALSE(is_found(engines + 1));
    for (int n = 1; n <= engines; n += 2) {
        const auto engine = or_throw(store->find_engine(demo, user(n)));
        change_set gone;
        gone.changes.emplace_back(erase_engine{demo, user(n), engine->revision, false});
        REQUIRE(store->commit(gone));
    }
    for (int n = 1; n <= engines; ++n) CHECK(is_found(n) == (n % 2 == 0));
    CHECK(or_throw(store->verify()).problems.empty());
    REQUIRE(add(*store, 7));
    CHECK(is_found(7));
}

TEST_CASE("a store whose secret for the hashes of owners is damaged is refused") {
    const temporary_folder folder;
    or_throw(lmdb_store::open(options_in(folder)));
    SECTION("the secret") {
        tamper(
            options_in(folder), "meta", [](std::string& record) { record[10] ^= 1; }, "owner_hash");
    }
    SECTION("a number of bits that no hash has") {
        const char bits = GENERATE(char{0}, char{65});
        tamper_record(options_in(folder), "meta", "owner_hash",
                      [&](std::string& key) { key.back() = bits; });
    }
    SECTION("it is gone") { raw_database(options_in(folder), "meta").remove("owner_hash"); }
    const auto refused = lmdb_store::open(options_in(folder));
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), "owner_hash in database meta is damaged"));
}

TEST_CASE("the checker finds an engine that is not found by its owner") {
    const temporary_folder folder;
    const auto options = options_in(folder);
    {
        const auto store = or_throw(lmdb_store::open(options));
        for (int n = 1; n <= 2; ++n) REQUIRE(add(*store, n));
    }
    SECTION("because the secret is another") {
        tamper_record(options, "meta", "owner_hash", [](std::string& key) { key.front() ^= 1; });
    }
    SECTION("because the owner has another engine, which is found in its place") {
        const auto first = number_of_first(options);
        std::string second;
        {
            raw_database numbers(options, "engines_by_id");
            second = numbers.find(std::string{2} + std::string(15, '\0')).value;
        }
        tamper_record(options, "engines", second, [](std::string& record) {
            record.replace(record.find(user(2)), user(2).size(), user(1));
        });
        raw_database(options, "engines_displaced").put({first, second});
    }
    const auto store = or_throw(lmdb_store::open(options));
    const auto problems = or_throw(store->verify()).problems;
    REQUIRE_FALSE(problems.empty());
    CHECK(names({errc::internal_error, problems.front()}, "is not found by its owner"));
}

TEST_CASE("the map grows by itself, also during reads") {
    const temporary_folder folder;
    auto options = options_in(folder);
    options.map_size = std::size_t{256} * 1024;
    const auto store = or_throw(lmdb_store::open(options));
    REQUIRE(add(*store, 0));
    std::atomic<bool> done = false;
    std::atomic<int> wrong = 0;
    std::vector<std::thread> readers;
    for (int i = 0; i < 4; ++i)
        readers.emplace_back([&] {
            while (!done.load()) {
                const auto found = store->find_engine(demo, user(0));
                if (!found || !*found || (*found)->sealed_key != "token") ++wrong;
                if (!store->for_each_engine([](const result<engine_ptr>&) {})) ++wrong;
            }
        });
    bool added = true;
    for (int n = 1; n <= 200; ++n)
        added = added && add(*store, n, std::string(20'000, 'x')).has_value();
    done = true;
    for (auto& reader : readers) reader.join();
    CHECK(added);
    CHECK(wrong == 0);
    CHECK(std::filesystem::file_size(options.folder + "/data.mdb") > 8 * options.map_size);
    CHECK(or_throw(store->verify()).problems.empty());
}

TEST_CASE("a map that another process has grown is taken over") {
    const temporary_folder folder;
    auto options = options_in(folder);
    options.map_size = std::size_t{256} * 1024;
    const auto store = or_throw(lmdb_store::open(options));
    REQUIRE(add(*store, 1));
    const pid_t child = ::fork();
    if (child == 0) { // LMDB must not be opened twice in one process
        MDB_env* env = nullptr;
        MDB_txn* txn = nullptr;
        MDB_dbi handle = 0;
        std::string bytes(4'000'000, 'x');
        MDB_val key{4, bytes.data()};
        MDB_val value{bytes.size(), bytes.data()};
        const bool done = mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 32) == 0 &&
                          mdb_env_set_mapsize(env, std::size_t{1} << 26U) == 0 &&
                          mdb_env_open(env, options.folder.c_str(), 0, 0600) == 0 &&
                          mdb_txn_begin(env, nullptr, 0, &txn) == 0 &&
                          mdb_dbi_open(txn, "meta", 0, &handle) == 0 &&
                          mdb_put(txn, handle, &key, &value, 0) == 0 && mdb_txn_commit(txn) == 0;
        ::_exit(done ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
    SECTION("by a long read") {
        int visited = 0;
        REQUIRE(store->for_each_engine([&](const result<engine_ptr>&) { ++visited; }));
        CHECK(visited == 1);
    }
    SECTION("by a short read") { CHECK(or_throw(store->find_engine(demo, user(1))) != nullptr); }
    SECTION("by a commit") { CHECK(add(*store, 2)); }
    CHECK(add(*store, 3));
}

TEST_CASE("at its maximum size the map makes commits unavailable, and reads still work") {
    const temporary_folder folder;
    auto options = options_in(folder);
    options.map_size = options.max_map_size = std::size_t{256} * 1024;
    const auto store = or_throw(lmdb_store::open(options));
    result<committed> last = committed{};
    int n = 0;
    for (; last && n < 100; ++n) last = add(*store, n, std::string(20'000, 'x'));
    REQUIRE_FALSE(last);
    CHECK(last.error().code == errc::store_unavailable);
    CHECK(names(last.error(), "max_map_size"));
    CHECK(or_throw(store->find_engine(demo, user(0))) != nullptr);
    CHECK(or_throw(store->counts(demo)).total() == static_cast<std::uint64_t>(n - 1));
    CHECK(store->trouble());
}

TEST_CASE("with less than the reserve free nothing can be added, and other commits still work") {
    const temporary_folder folder;
    engine_ptr first;
    {
        const auto store = or_throw(lmdb_store::open(options_in(folder)));
        first = or_throw(add(*store, 1)).engines.front();
    }
    auto options = options_in(folder);
    options.reserve_bytes = std::numeric_limits<std::uint64_t>::max();
    const auto store = or_throw(lmdb_store::open(options));
    const auto refused = add(*store, 2);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::store_unavailable);
    CHECK(names(refused.error(), "disk is full"));
    change_set change;
    change.changes.push_back(update_engine{*first, {}});
    CHECK(store->commit(change));
    CHECK(names({errc::store_unavailable, *store->trouble()}, "full"));
}

TEST_CASE("a damaged record is an error that names it, and other records can still be read") {
    const temporary_folder folder;
    {
        const auto store = or_throw(lmdb_store::open(options_in(folder)));
        for (int n = 1; n <= 3; ++n) REQUIRE(add(*store, n));
    }
    SECTION("an engine") {
        tamper(
            options_in(folder), "engines", [](std::string& bytes) { bytes[40] ^= 1; },
            number_of_first(options_in(folder)));
        const auto store = or_throw(lmdb_store::open(options_in(folder)));
        const auto lost = store->find_engine(demo, user(1));
        REQUIRE_FALSE(lost);
        CHECK(lost.error().code == errc::internal_error);
        CHECK(names(lost.error(), "engines"));
        CHECK(names(lost.error(), to_string(demo) + "/" + user(1)));
        CHECK(or_throw(store->find_engine(demo, user(2))) != nullptr);
        CHECK(or_throw(store->list_engines({demo, {}, 0, 10})).engines.size() == 2);
        int visited = 0;
        int unreadable = 0;
        REQUIRE(store->for_each_engine(
            [&](const result<engine_ptr>& engine) { ++(engine ? visited : unreadable); }));
        CHECK(visited == 2);
        CHECK(unreadable == 1);
        CHECK(add(*store, 4));
        CHECK(or_throw(store->verify()).problems.size() == 1);
    }
    SECTION("a record cut short") {
        tamper(
            options_in(folder), "engines", [](std::string& bytes) { bytes.resize(5); },
            number_of_first(options_in(folder)));
        const auto store = or_throw(lmdb_store::open(options_in(folder)));
        CHECK_FALSE(store->find_engine(demo, user(1)));
        CHECK(or_throw(store->find_engine(demo, user(2))) != nullptr);
    }
    SECTION("an audit row") {
        tamper(options_in(folder), "audit", [](std::string& bytes) { bytes.back() ^= 1; });
        const auto store = or_throw(lmdb_store::open(options_in(folder)));
        CHECK(or_throw(store->audit(all_rows)).entries.size() == 2);
        CHECK(names({errc::internal_error, or_throw(store->verify()).problems.at(0)}, "audit"));
        // The damaged row is removed with the rows around it, and its index entries with it.
        CHECK(or_throw(store->prune_audit(instant::max(), 10)) == 2);
        const auto report = or_throw(store->verify());
        CHECK(report.audit_rows == 0);
        CHECK(report.problems.empty());
    }
}

TEST_CASE("the checker finds an index that does not agree with the rows") {
    const temporary_folder folder;
    {
        const auto store = or_throw(lmdb_store::open(options_in(folder)));
        REQUIRE(add(*store, 1));
        CHECK(or_throw(store->verify()).problems.empty());
    }
    const std::string database = GENERATE("engines_by_id", "engines_by_sequence", "counters");
    CAPTURE(database);
    tamper(options_in(folder), database.c_str(), [](std::string& bytes) { bytes.back() ^= 1; });
    const auto store = or_throw(lmdb_store::open(options_in(folder)));
    CHECK_FALSE(or_throw(store->verify()).problems.empty());
}

TEST_CASE("what engines reserve is kept, and the checker compares the sum with the rows") {
    const temporary_folder folder;
    const auto options = options_in(folder);
    {
        const auto store = or_throw(lmdb_store::open(options));
        for (const int n : {1, 2}) {
            REQUIRE(add(*store, n));
            auto record = *or_throw(store->find_engine(demo, user(n)));
            record.reserved_memory_mb = 64;
            change_set set;
            set.changes.emplace_back(update_engine{record, {}, 128});
            REQUIRE(store->commit(set));
        }
    }
    {
        const auto store = or_throw(lmdb_store::open(options));
        CHECK(or_throw(store->find_engine(demo, user(1)))->reserved_memory_mb == 64);
        CHECK(or_throw(store->counts(demo)).reserved_memory_mb == 128);
        CHECK(or_throw(store->verify()).problems.empty());
    }
    const auto key = detail::lmdb::key_bytes().id(demo);
    tamper_record(options, "counters", std::string(key.view()),
                  [](std::string& body) { body.back() ^= 1; });
    const auto problems = or_throw(or_throw(lmdb_store::open(options))->verify()).problems;
    REQUIRE(problems.size() == 1);
    CHECK(names({errc::internal_error, problems.front()},
                "does not agree with the memory that engines reserve"));
}

TEST_CASE("the checker finds an entry of the times of audit rows that is missing or too many") {
    const temporary_folder folder;
    const auto options = options_in(folder);
    {
        const auto store = or_throw(lmdb_store::open(options));
        for (const int n : {1, 3, 2, 4, 5}) REQUIRE(add(*store, n)); // the clock was set back
        const bool pruned = GENERATE(false, true); // also the entry of the latest row so far
        if (pruned) REQUIRE(or_throw(store->prune_audit(instant::max(), 2)) == 2);
        CHECK(or_throw(store->verify()).problems.empty());
    }
    const bool missing = GENERATE(true, false);
    {
        raw_database times(options, "audit_by_time");
        const auto key_of = [](std::uint64_t ms, std::uint64_t row) {
            const auto key = detail::lmdb::key_bytes().number(ms).number(row);
            return std::string(key.view());
        };
        if (missing) times.remove(key_of(5'000, 5));
        else times.put({key_of(3'000, 3), {}});
    }
    const auto problems = or_throw(or_throw(lmdb_store::open(options))->verify()).problems;
    REQUIRE(problems.size() == (missing ? 2 : 1));
    for (const auto& problem : problems)
        CHECK(names({errc::internal_error, problem}, "audit_by_time"));
}

TEST_CASE("a backup is a store of its own with the same fleet") {
    const temporary_folder folder;
    const auto store = or_throw(lmdb_store::open(options_in(folder)));
    for (int n = 1; n <= 100; ++n) REQUIRE(add(*store, n));
    const std::string copy = folder.path() / "new" / "copy";
    REQUIRE(store->backup(copy));
    REQUIRE(add(*store, 101)); // not in the backup
    lmdb_options options;
    options.folder = copy;
    const auto restored = or_throw(lmdb_store::open(options));
    CHECK(restored->installation_id() == store->installation_id());
    CHECK(or_throw(restored->counts(demo)).total() == 100);
    CHECK(or_throw(restored->find_engine(demo, user(77)))->sealed_key == "token");
    CHECK(or_throw(restored->verify()).problems.empty());
    REQUIRE(add(*restored, 102));

    const auto refused = store->backup(copy);
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), "in use"));
}

TEST_CASE("a backup does not overwrite a store") {
    const temporary_folder folder;
    const auto store = or_throw(lmdb_store::open(options_in(folder)));
    const std::string copy = folder.path() / "copy";
    REQUIRE(store->backup(copy));
    const auto refused = store->backup(copy);
    REQUIRE_FALSE(refused);
    CHECK(names(refused.error(), "holds a store already"));
}

TEST_CASE("a reader that died does not keep pages from being reused") {
    const temporary_folder folder;
    const auto store = or_throw(lmdb_store::open(options_in(folder)));
    REQUIRE(add(*store, 1));
    // A process that is killed while it reads, as a backup may be.
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        auto options = options_in(folder);
        options.read_only = true;
        const auto beside = lmdb_store::open(options);
        if (!beside) ::_exit(1);
        const auto read = (*beside)->for_each_engine([&](const result<engine_ptr>&) {
            [[maybe_unused]] const auto written = ::write(ready[1], "r", 1);
            for (;;) ::pause();
        });
        ::_exit(read ? 0 : 1);
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    ::close(ready[0]);
    ::close(ready[1]);
    const auto size = [&] {
        return std::filesystem::file_size(options_in(folder).folder + "/data.mdb");
    };
    for (int n = 2; n < 80; ++n) REQUIRE(add(*store, n)); // releases its slot
    const auto before = size();
    auto engine = *or_throw(store->find_engine(demo, user(1)));
    for (int i = 0; i < 200; ++i) {
        change_set change;
        change.changes.push_back(update_engine{engine, {}});
        engine = *or_throw(store->commit(change)).engines.front();
    }
    CHECK(size() < before + std::size_t{256} * 1024);
}
