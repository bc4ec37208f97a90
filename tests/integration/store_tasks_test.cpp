#include "catch.hpp"
#include "running_server.hpp"

#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/store/lmdb.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using namespace roundhouse_tests;

namespace {

const std::string next_master_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The exit code and the output of a server that runs one task instead of serving.
struct outcome {
    int code = -1;
    std::string output;
};

outcome run(const std::vector<std::string>& arguments,
            const child_process::environment& variables) {
    child_process server(ROUNDHOUSE_SERVER, arguments, variables);
    outcome out{server.wait(), {}};
    out.output = server.output();
    return out;
}

std::string store_in(const temporary_folder& folder) { return folder.path() / "store"; }

/// Only the path of the store, as a scheduled backup may have it.
child_process::environment only_the_store(const temporary_folder& folder) {
    return {{"ORCH_STORE_PATH", store_in(folder)}};
}

/// Options with the memory backend, for tests in which no engine has to run.
child_process::environment with_memory_backend(const temporary_folder& folder,
                                               child_process::environment more = {}) {
    more.insert({"ORCH_ENGINE_BACKEND", "memory"});
    return options(folder.path(), std::move(more));
}

/// Runs a server to make a store with two engines, and returns their keys.
std::vector<std::string> make_store(const child_process::environment& variables) {
    running_server server(variables);
    std::vector<std::string> keys;
    for (const std::string user : {"ann", "bob"})
        keys.push_back(member(server.provision(user), "api_key"));
    server.post("/engines/bob/stop");
    return keys;
}

std::string key_of(running_server& server, const std::string& user) {
    return member(server.get("/engines/" + user), "api_key");
}

std::vector<std::string> sealed_keys_in(const std::string& folder) {
    const auto store = roundhouse::lmdb_store::open({.folder = folder, .read_only = true});
    REQUIRE(store);
    std::vector<std::string> out;
    REQUIRE((*store)->for_each_engine([&](const roundhouse::result<roundhouse::engine_ptr>& row) {
        if (row) out.push_back((*row)->sealed_key);
    }));
    return out;
}

std::string text_of(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Changes a byte of every occurrence of a sealed key in the store's file, which has its bytes.
void damage(const std::string& folder, const std::string& token) {
    const auto file = folder + "/data.mdb";
    const auto sealed = roundhouse::crypto::base64url_decode(token,
                                                             roundhouse::crypto::padding::required);
    REQUIRE(sealed);
    const std::string text(sealed->begin(), sealed->end());
    auto bytes = text_of(file);
    std::size_t places = 0;
    for (auto at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
        bytes[at + text.size() / 2] ^= 1;
        ++places;
    }
    REQUIRE(places > 0);
    std::ofstream(file, std::ios::binary | std::ios::in) << bytes;
}

} // namespace

TEST_CASE("a backup of a running server's store serves the same engines with the same keys") {
    const temporary_folder folder;
    const std::string copy = folder.path() / "copy";
    running_server server(options(folder.path()));
    const auto ann = server.provision("ann");
    const auto bob = server.provision("bob");
    server.post("/engines/bob/stop");

    const auto done = run({"--backup", copy}, only_the_store(folder));
    INFO(done.output);
    CHECK(done.code == 0);
    CHECK_THAT(done.output, Contains("1 product, 2 engines, ") && Contains(copy));
    CHECK(std::count(done.output.begin(), done.output.end(), '\n') == 1);
    server.provision("later");

    running_server restored(options(folder.path(), {{"ORCH_STORE_PATH", copy}}));
    CHECK(member(restored.get("/engines"), "total") == "2");
    CHECK(restored.get("/engines/bob") == server.get("/engines/bob"));
    CHECK(member(restored.get("/engines/ann"), "engine_id") == member(ann, "engine_id"));
    CHECK(key_of(restored, "ann") == member(ann, "api_key"));
    CHECK(key_of(restored, "bob") == member(bob, "api_key"));

    // It boots its own engine, and the first server's engine goes on.
    const auto admitted = restored.post("/engines/ann/admit", R"({"auto_wake":true})");
    CHECK(member(admitted, "url") != member(ann, "url"));
    CHECK(execute(member(admitted, "url"), member(ann, "api_key")) == 200);
    CHECK(execute(member(ann, "url"), member(ann, "api_key")) == 200);
}

TEST_CASE("a backup is readable by its owner only and never overwrites a store") {
    const temporary_folder folder;
    const auto variables = with_memory_backend(folder);
    make_store(variables);
    const std::string copy = folder.path() / "copy";
    CHECK(run({"--backup", copy}, variables).code == 0);
    const auto mode = std::filesystem::status(copy).permissions();
    CHECK((mode & std::filesystem::perms::mask) == std::filesystem::perms::owner_all);

    for (const auto& taken : {copy, store_in(folder)}) {
        const auto refused = run({"--backup", taken}, variables);
        CHECK(refused.code == 2);
        CHECK_THAT(refused.output, Contains("--backup: ") && Contains(taken));
    }
}

TEST_CASE("nothing is written through a link that was left in a folder of a store") {
    const temporary_folder folder;
    const auto variables = with_memory_backend(folder);
    make_store(variables);
    const auto copy = folder.path() / "copy";
    std::filesystem::create_directory(copy);
    const auto other = folder.path() / "other";
    std::ofstream(other) << "not a store";
    SECTION("in place of the copy") {
        std::filesystem::create_symlink(other, copy / "data.mdb.partial");
        CHECK(run({"--backup", copy}, variables).code == 0);
        CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(copy / "data.mdb")));
    }
    SECTION("in place of the lock of a server") {
        const auto lock = std::filesystem::path(store_in(folder)) / "lock";
        std::filesystem::remove(lock);
        std::filesystem::create_symlink(other, lock);
        CHECK(run({}, variables).code == 2);
    }
    CHECK(std::ifstream(other).peek() == 'n');
    CHECK(std::filesystem::file_size(other) == 11);
}

TEST_CASE("a task on a missing store is refused with the folder's name and creates nothing") {
    const temporary_folder folder;
    for (const std::vector<std::string>& task : std::vector<std::vector<std::string>>{
             {"--backup", folder.path() / "copy"}, {"--reencrypt"}, {"--verify-store"}}) {
        const auto refused = run(task, options(folder.path()));
        CAPTURE(task.front(), refused.output);
        CHECK(refused.code == 2);
        CHECK_THAT(refused.output, Contains("ORCH_STORE_PATH: ") && Contains(store_in(folder)));
        CHECK(std::filesystem::is_empty(folder.path()));
    }
}

TEST_CASE("a server needs the master keys that its engines' keys were sealed with") {
    const temporary_folder folder;
    const auto keys = make_store(with_memory_backend(folder));
    const auto refused = run({},
                             with_memory_backend(folder, {{"ORCH_MASTER_KEY", next_master_key}}));
    CHECK(refused.code == 2);
    CHECK_THAT(refused.output, Contains("ORCH_MASTER_KEY: 2 of the 2 sealed keys") &&
                                   Contains("the key that sealed them"));
    CHECK_THAT(refused.output, !Contains(next_master_key) && !Contains("listening"));

    running_server server(
        with_memory_backend(folder, {{"ORCH_MASTER_KEY", next_master_key + "," + master_key}}));
    CHECK(key_of(server, "ann") == keys[0]);
}

TEST_CASE("after a re-encryption the new master key alone opens the engine keys") {
    const temporary_folder folder;
    const auto keys = make_store(with_memory_backend(folder));
    const auto done = run({"--reencrypt"},
                          {{"ORCH_STORE_PATH", store_in(folder)},
                           {"ORCH_MASTER_KEY", next_master_key + "," + master_key}});
    INFO(done.output);
    CHECK(done.code == 0);
    CHECK_THAT(done.output, Contains("2 engines"));

    CHECK_THAT(run({}, with_memory_backend(folder)).output, Contains("ORCH_MASTER_KEY: "));
    running_server server(with_memory_backend(folder, {{"ORCH_MASTER_KEY", next_master_key}}));
    CHECK(key_of(server, "ann") == keys[0]);
    CHECK(key_of(server, "bob") == keys[1]);
}

TEST_CASE("a re-encryption without the old master key is refused and changes nothing") {
    const temporary_folder folder;
    make_store(with_memory_backend(folder));
    const auto before = sealed_keys_in(store_in(folder));
    const auto refused = run({"--reencrypt"}, {{"ORCH_STORE_PATH", store_in(folder)},
                                               {"ORCH_MASTER_KEY", next_master_key}});
    CHECK(refused.code == 2);
    CHECK_THAT(refused.output, Contains("ORCH_MASTER_KEY: 2 of the 2 sealed keys"));
    CHECK(sealed_keys_in(store_in(folder)) == before);
}

TEST_CASE("a re-encryption is refused while a server uses the store, and the server goes on") {
    const temporary_folder folder;
    const auto variables = with_memory_backend(folder);
    running_server server(variables);
    const auto made = server.provision("ann");
    const auto refused = run({"--reencrypt"}, variables);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.output, Contains("ORCH_STORE_PATH: ") && Contains("in use"));
    CHECK(key_of(server, "ann") == member(made, "api_key"));
}

TEST_CASE("another implementation of Fernet opens the stored keys") {
    if (std::system("python3 -c 'import cryptography.fernet' 2>/dev/null") != 0)
        ROUNDHOUSE_SKIP("python3-cryptography is not installed");
    const temporary_folder folder;
    auto keys = make_store(with_memory_backend(folder));
    const std::string file = folder.path() / "tokens";
    {
        std::ofstream out(file);
        for (const auto& token : sealed_keys_in(store_in(folder))) out << token << '\n';
    }
    child_process python("/usr/bin/env",
                         {"python3", "-c",
                          "import sys; from cryptography.fernet import Fernet\n"
                          "for token in open(sys.argv[1]).read().split():\n"
                          "    print(Fernet(sys.argv[2]).decrypt(token).decode())",
                          file, master_key},
                         {{"PATH", std::getenv("PATH")}});
    CHECK(python.wait() == 0);
    for (const auto& key : keys) CHECK_THAT(python.output(), Contains(key + "\n"));
}

TEST_CASE("a store is verified while a server uses it") {
    const temporary_folder folder;
    running_server server(with_memory_backend(folder));
    server.provision("ann");
    const auto found = run({"--verify-store"}, only_the_store(folder));
    INFO(found.output);
    CHECK(found.code == 0);
    CHECK_THAT(found.output, Contains("agrees with itself: 1 product, 1 engine, "));
    CHECK(std::count(found.output.begin(), found.output.end(), '\n') == 1);
    server.provision("bob");
}

TEST_CASE("a verification counts the data folders in the trash, and leaves them there") {
    const temporary_folder folder;
    make_store(with_memory_backend(folder));
    const auto store = std::filesystem::path(store_in(folder));
    const auto waiting = store / "trash/5f0c9f0e-2f8e-4d9b-8a43-4f7a1c9d2e60.0";
    CHECK_THAT(run({"--verify-store"}, only_the_store(folder)).output, !Contains("trash"));
    std::filesystem::create_directories(waiting / "data");
    std::filesystem::create_directories(store / "trash/of others");
    const auto found = run({"--verify-store"}, only_the_store(folder));
    CHECK(found.code == 0);
    CHECK_THAT(found.output, Contains(", and in the trash 1 data folder\n"));
    CHECK(std::filesystem::exists(waiting / "data"));
}

TEST_CASE(
    "a damaged record is reported by a verification and a backup, and affects no other engine") {
    const temporary_folder folder;
    const auto variables = with_memory_backend(folder);
    const auto keys = make_store(variables);
    const auto tokens = sealed_keys_in(store_in(folder));
    REQUIRE(tokens.size() == 2);
    damage(store_in(folder), tokens.front());

    const auto found = run({"--verify-store"}, variables);
    CHECK(found.code == 1);
    CHECK_THAT(found.output, Contains("1 problem") || Contains(" problems"));
    const auto copied = run({"--backup", folder.path() / "copy"}, variables);
    CHECK(copied.code == 1);
    CHECK_THAT(copied.output, Contains("copied the store to ") && Contains("problem"));

    running_server server(variables);
    const bool ann_is_damaged = server.client.Get("/engines/ann")->status == 500;
    const auto damaged = server.get(ann_is_damaged ? "/engines/ann" : "/engines/bob", 500);
    CHECK(member(damaged, "code") == "INTERNAL_ERROR");
    CHECK(key_of(server, ann_is_damaged ? "bob" : "ann") == keys[ann_is_damaged ? 1 : 0]);
}

#endif
