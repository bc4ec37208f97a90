// What administrators do with engines of all products, and their keys, on the real server.

#include "catch.hpp"
#include "running_server.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

const std::string key_of_jo = "the-key-of-jo-that-has-32-letters";
const std::string key_of_sam = "the-key-of-sam-that-has-32-letters";

/// A client with the key of an administrator alone.
class admin_client {
public:
    admin_client(const running_server& server, const std::string& key)
        : client_("http://" + server.address) {
        client_.set_default_headers({{"X-Admin-Key", key}});
        client_.set_read_timeout(30);
    }

    std::string get(const std::string& path, int expected = 200) {
        return checked(path, client_.Get(path), expected);
    }
    std::string post(const std::string& path, const std::string& body = "{}", int expected = 200) {
        return checked(path, client_.Post(path, body, "application/json"), expected);
    }
    std::string destroy(const std::string& path, int expected = 200) {
        return checked(path, client_.Delete(path), expected);
    }

private:
    static std::string checked(const std::string& path, const httplib::Result& answer,
                               int expected) {
        REQUIRE(answer);
        INFO(path << ": " << answer->body);
        REQUIRE(answer->status == expected);
        return answer->body;
    }

    httplib::Client client_;
};

void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::trunc);
    file << text;
}

} // namespace

TEST_CASE("an administrator acts on the engines of a product whose key is lost") {
    const std::string store = GENERATE("lmdb", "memory");
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_STORE", store}}));
    admin_client admin(server, admin_key);
    admin.post("/products/register", R"({"slug":"other","display_name":"Other"})");
    server.provision("ada");
    const auto made = admin.post("/engines/provision?product=other", R"({"user_id":"bob"})");
    CHECK(member(made, "product") == "other");
    CHECK_THAT(made, !Contains("api_key"));
    server.get("/engines/bob", 404);
    const auto all = admin.get("/engines");
    CHECK(member(all, "total") == "2");
    CHECK_THAT(all, Contains(R"("user_id":"ada","product":"demo")") &&
                        Contains(R"("user_id":"bob","product":"other")") && !Contains("api_key"));
    CHECK(member(admin.get("/engines?product=other"), "total") == "1");
    CHECK(member(admin.get("/status"), "total") == "2");
    CHECK(member(admin.get("/metrics"), "total_provisions") == "2");
    admin.get("/engines/ada", 401);
    admin.post("/engines/ada/rotate-key?product=demo");
    const auto found = server.get("/engines/ada");
    CHECK(execute(member(found, "url"), member(found, "api_key")) == 200);
    admin.post("/engines/ada/stop?product=demo");
    CHECK(member(server.get("/engines/ada"), "status") == "stopped");
    admin.destroy("/engines/ada?product=demo");
    CHECK(member(server.get("/audit?action=destroy"), "actor") == "admin");
    const auto rows = admin.get("/audit?action=provision");
    CHECK_THAT(rows, Contains(R"("product":"demo")") && Contains(R"("product":"other")"));
    admin.destroy("/engines/bob?product=other");
    CHECK(member(admin.get("/status"), "total") == "0");
}

TEST_CASE("named administrators are read again on SIGHUP, and a revoked key is refused at once") {
    const temporary_folder folder;
    const auto file = folder.path() / "admins";
    write(file, "jo=" + key_of_jo + "\n");
    auto set = options(folder.path(), {{"ORCH_ENGINE_BACKEND", "memory"},
                                       {"ORCH_ADMIN_KEYS_FILE", file.string()}});
    set.erase("ORCH_ADMIN_KEY");
    running_server server(set);
    admin_client jo(server, key_of_jo);
    admin_client sam(server, key_of_sam);
    server.provision("ada");
    jo.post("/engines/ada/stop?product=demo");
    CHECK(member(server.get("/audit?action=stop"), "actor") == "admin:jo");
    sam.get("/engines", 401);

    write(file, "jo=" + key_of_jo + "\nsam=short\n");
    server.process.signal(SIGHUP);
    const auto refused = server.process.line_with("the administrators before stay");
    CHECK_THAT(refused, Contains("line 2") && !Contains("short") && !Contains(key_of_jo));
    jo.get("/engines");

    write(file, "sam=" + key_of_sam + "\n");
    server.process.signal(SIGHUP);
    server.process.line_with("the named administrators were read again");
    jo.get("/engines", 401);
    jo.get("/products", 401);
    sam.post("/engines/ada/start?product=demo");
    CHECK(member(server.get("/audit?action=start"), "actor") == "admin:sam");
    sam.post("/products/demo/rotate-platform-key");
    CHECK_THAT(sam.get("/audit?action=platform_key_rotated"), Contains(R"("actor":"admin:sam")"));
}

#endif
