#include "catch.hpp"
#include "running_server.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

// Without the programs there is nothing to test: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using namespace roundhouse_tests;

namespace {

const std::string next_master_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// How a server that does not serve ended, and what it said.
struct outcome {
    int code = -1;
    std::string said;
};

outcome run(const std::vector<std::string>& arguments,
            const child_process::environment& variables) {
    child_process server(ROUNDHOUSE_SERVER, arguments, variables);
    outcome out{server.wait(), {}};
    out.said = server.output();
    return out;
}

/// Nothing but where the store is: what a backup from a timer may know.
child_process::environment only_the_store(const std::string& folder) {
    return {{"ORCH_STORE_PATH", folder}};
}

/// Engines that are only remembered, where it does not matter what runs them.
child_process::environment without_processes(const std::string& folder,
                                             child_process::environment more = {}) {
    more.insert({"ORCH_ENGINE_BACKEND", "memory"});
    return options(folder, std::move(more));
}

/// Serves for a moment, so that there is a store with two engines, and returns their keys.
std::vector<std::string> make_store(const child_process::environment& variables) {
    running_server server(variables);
    std::vector<std::string> keys;
    for (const std::string user : {"ann", "bob"})
        keys.push_back(
            member(server.post("/engines/provision", R"({"user_id":")" + user + "\"}"), "api_key"));
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

/// Changes a byte in every place of the store's file that holds a text.
void damage(const std::string& folder, const std::string& text) {
    const auto file = folder + "/data.mdb";
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

TEST_CASE("a copy made beside a serving server serves the same engines with the same keys") {
    const scratch_folder folder;
    const auto copy = folder.path() + "/copy";
    running_server server(options(folder.path()));
    const auto ann = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto bob = server.post("/engines/provision", R"({"user_id":"bob"})");
    server.post("/engines/bob/stop");

    const auto done = run({"--backup", copy}, only_the_store(folder.path() + "/store"));
    INFO(done.said);
    CHECK(done.code == 0);
    CHECK_THAT(done.said, Contains("1 product, 2 engines, ") && Contains(copy));
    CHECK(std::count(done.said.begin(), done.said.end(), '\n') == 1);
    server.post("/engines/provision", R"({"user_id":"later"})");

    running_server restored(options(folder.path(), {{"ORCH_STORE_PATH", copy}}));
    CHECK(member(restored.get("/engines"), "total") == "2");
    CHECK(restored.get("/engines/bob") == server.get("/engines/bob"));
    CHECK(member(restored.get("/engines/ann"), "engine_id") == member(ann, "engine_id"));
    CHECK(key_of(restored, "ann") == member(ann, "api_key"));
    CHECK(key_of(restored, "bob") == member(bob, "api_key"));

    // It boots its own engine, and the first server's goes on.
    const auto admitted = restored.post("/engines/ann/admit", R"({"auto_wake":true})");
    CHECK(member(admitted, "url") != member(ann, "url"));
    CHECK(execute(member(admitted, "url"), member(ann, "api_key")) == 200);
    CHECK(execute(member(ann, "url"), member(ann, "api_key")) == 200);
}

TEST_CASE("a copy is for its owner only, and never goes over another store") {
    const scratch_folder folder;
    const auto with = without_processes(folder.path());
    make_store(with);
    const auto copy = folder.path() + "/copy";
    CHECK(run({"--backup", copy}, with).code == 0);
    const auto mode = std::filesystem::status(copy).permissions();
    CHECK((mode & std::filesystem::perms::mask) == std::filesystem::perms::owner_all);

    for (const auto& taken : {copy, folder.path() + "/store"}) {
        const auto refused = run({"--backup", taken}, with);
        CHECK(refused.code == 2);
        CHECK_THAT(refused.said, Contains("--backup: ") && Contains(taken));
    }
}

TEST_CASE("work on a store that is not there is refused by the folder's name, and makes nothing") {
    const scratch_folder folder;
    for (const std::vector<std::string>& task : std::vector<std::vector<std::string>>{
             {"--backup", folder.path() + "/copy"}, {"--reencrypt"}, {"--verify-store"}}) {
        const auto refused = run(task, options(folder.path()));
        CAPTURE(task.front(), refused.said);
        CHECK(refused.code == 2);
        CHECK_THAT(refused.said,
                   Contains("ORCH_STORE_PATH: ") && Contains(folder.path() + "/store"));
        CHECK(std::filesystem::is_empty(folder.path()));
    }
}

TEST_CASE("a server needs the master keys that its engines' keys were sealed with") {
    const scratch_folder folder;
    const auto keys = make_store(without_processes(folder.path()));
    const auto refused = run(
        {}, without_processes(folder.path(), {{"ORCH_MASTER_KEY", next_master_key}}));
    CHECK(refused.code == 2);
    CHECK_THAT(refused.said, Contains("ORCH_MASTER_KEY: 2 of the 2 engine keys") &&
                                 Contains("the key that sealed them"));
    CHECK_THAT(refused.said, !Contains(next_master_key) && !Contains("listening"));

    running_server server(without_processes(
        folder.path(), {{"ORCH_MASTER_KEY", next_master_key + "," + master_key}}));
    CHECK(key_of(server, "ann") == keys[0]);
}

TEST_CASE("after keys were sealed again, the new master key alone opens them") {
    const scratch_folder folder;
    const auto keys = make_store(without_processes(folder.path()));
    const auto done = run({"--reencrypt"},
                          {{"ORCH_STORE_PATH", folder.path() + "/store"},
                           {"ORCH_MASTER_KEY", next_master_key + "," + master_key}});
    INFO(done.said);
    CHECK(done.code == 0);
    CHECK_THAT(done.said, Contains("2 engines"));

    CHECK_THAT(run({}, without_processes(folder.path())).said, Contains("ORCH_MASTER_KEY: "));
    running_server server(without_processes(folder.path(), {{"ORCH_MASTER_KEY", next_master_key}}));
    CHECK(key_of(server, "ann") == keys[0]);
    CHECK(key_of(server, "bob") == keys[1]);
}

TEST_CASE("keys are not sealed again without the master key that opens them") {
    const scratch_folder folder;
    make_store(without_processes(folder.path()));
    const auto before = sealed_keys_in(folder.path() + "/store");
    const auto refused = run({"--reencrypt"}, {{"ORCH_STORE_PATH", folder.path() + "/store"},
                                               {"ORCH_MASTER_KEY", next_master_key}});
    CHECK(refused.code == 2);
    CHECK_THAT(refused.said, Contains("ORCH_MASTER_KEY: 2 of the 2 engine keys"));
    CHECK(sealed_keys_in(folder.path() + "/store") == before);
}

TEST_CASE("keys are not sealed again while a server serves, which goes on") {
    const scratch_folder folder;
    const auto with = without_processes(folder.path());
    running_server server(with);
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto refused = run({"--reencrypt"}, with);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.said, Contains("ORCH_STORE_PATH: ") && Contains("in use"));
    CHECK(key_of(server, "ann") == member(made, "api_key"));
}

TEST_CASE("another implementation of Fernet opens the stored keys") {
    if (std::system("python3 -c 'import cryptography.fernet' 2>/dev/null") != 0)
        ROUNDHOUSE_SKIP("python3-cryptography is not installed");
    const scratch_folder folder;
    auto keys = make_store(without_processes(folder.path()));
    const auto file = folder.path() + "/tokens";
    {
        std::ofstream out(file);
        for (const auto& token : sealed_keys_in(folder.path() + "/store")) out << token << '\n';
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

TEST_CASE("a store is verified beside the server that serves it") {
    const scratch_folder folder;
    running_server server(without_processes(folder.path()));
    server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto found = run({"--verify-store"}, only_the_store(folder.path() + "/store"));
    INFO(found.said);
    CHECK(found.code == 0);
    CHECK_THAT(found.said, Contains("agrees with itself: 1 product, 1 engine, "));
    CHECK(std::count(found.said.begin(), found.said.end(), '\n') == 1);
    server.post("/engines/provision", R"({"user_id":"bob"})");
}

TEST_CASE("a damaged record is told by a verification and a backup, and keeps nobody else from "
          "their engine") {
    const scratch_folder folder;
    const auto with = without_processes(folder.path());
    const auto keys = make_store(with);
    const auto tokens = sealed_keys_in(folder.path() + "/store");
    REQUIRE(tokens.size() == 2);
    damage(folder.path() + "/store", tokens.front());

    const auto found = run({"--verify-store"}, with);
    CHECK(found.code == 1);
    CHECK_THAT(found.said, Contains("1 problem") || Contains(" problems"));
    const auto copied = run({"--backup", folder.path() + "/copy"}, with);
    CHECK(copied.code == 1);
    CHECK_THAT(copied.said, Contains("copied the store to ") && Contains("problem"));

    running_server server(with);
    const bool ann_is_damaged = server.client.Get("/engines/ann")->status == 500;
    const auto damaged = server.get(ann_is_damaged ? "/engines/ann" : "/engines/bob", 500);
    CHECK(member(damaged, "code") == "INTERNAL_ERROR");
    CHECK(key_of(server, ann_is_damaged ? "bob" : "ann") == keys[ann_is_damaged ? 1 : 0]);
}

#endif
