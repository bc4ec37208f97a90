#include "../../reference-server/options.hpp"
#include "../../reference-server/secrets.hpp"
#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse::server;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using roundhouse_tests::temporary_folder;

namespace {

const std::string master_key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const std::string admin_key = "an-admin-key-of-thirty-two-chars";
const std::string platform_key = "pk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A folder with files of secrets.
struct secret_files {
    temporary_folder folder;

    std::string write(const std::string& name, const std::string& text) const {
        const auto path = folder.path() / name;
        std::ofstream(path) << text;
        std::filesystem::permissions(path, std::filesystem::perms::owner_read);
        return path.string();
    }
};

roundhouse::result<invocation> parse(environment variables,
                                     const std::vector<const char*>& arguments = {}) {
    variables.try_emplace("ORCH_ENGINE_BACKEND", "memory");
    return parse_options(arguments, variables);
}

std::string failure_of(const roundhouse::result<invocation>& parsed) {
    return parsed ? "it was accepted" : parsed.error().message;
}

} // namespace

TEST_CASE("each secret may be in a file, without the line end after it") {
    const secret_files files;
    const auto parsed = parse(
        {{"ORCH_MASTER_KEY_FILE", files.write("master", master_key + "\n")},
         {"ORCH_ADMIN_KEY_FILE", files.write("admin", admin_key + "\r\n")},
         {"ORCH_BOOTSTRAP_PRODUCT", "demo"},
         {"ORCH_BOOTSTRAP_PLATFORM_KEY_FILE", files.write("platform", platform_key)}});
    REQUIRE(parsed);
    CHECK(parsed->options.master_keys->size() == 1);
    CHECK(std::string(parsed->options.admin_key) == admin_key);
    CHECK(std::string(parsed->options.bootstrap->platform_key) == platform_key);
    CHECK(parsed->warnings.empty());
}

TEST_CASE("the secrets of a service manager are read, unless others are given") {
    const secret_files files;
    files.write("orch_master_key", master_key);
    files.write("orch_admin_key", admin_key);
    const auto folder = files.folder.path().string();
    const auto parsed = parse({{"CREDENTIALS_DIRECTORY", folder}});
    REQUIRE(parsed);
    CHECK(std::string(parsed->options.admin_key) == admin_key);
    const std::string other = "another-admin-key-of-32-characters";
    const auto given = parse({{"CREDENTIALS_DIRECTORY", folder}, {"ORCH_ADMIN_KEY", other}});
    REQUIRE(given);
    CHECK(std::string(given->options.admin_key) == other);
    CHECK_THAT(failure_of(parse({{"CREDENTIALS_DIRECTORY", folder + "/none"}})),
               StartsWith("ORCH_MASTER_KEY: is required"));
}

TEST_CASE("a file of a secret that is missing, empty or too long is refused by name") {
    const secret_files files;
    const auto failure_with = [&](const std::string& path) {
        return failure_of(parse({{"ORCH_ADMIN_KEY", admin_key}, {"ORCH_MASTER_KEY_FILE", path}}));
    };
    CHECK_THAT(failure_with("/no/such/file"),
               StartsWith("ORCH_MASTER_KEY_FILE: cannot read /no/such/file: No such file"));
    CHECK_THAT(failure_with("/"), StartsWith("ORCH_MASTER_KEY_FILE: cannot read /: "));
    CHECK_THAT(failure_with(files.write("empty", "\n")), Contains("empty is empty"));
    CHECK_THAT(failure_with("/dev/zero"), Contains("is over 64 KiB"));
    const auto wrong = failure_with(files.write("wrong", "not-a-key-but-secret"));
    CHECK_THAT(wrong, StartsWith("ORCH_MASTER_KEY: entry 1 is not a Fernet key"));
    CHECK_THAT(wrong, !Contains("not-a-key-but-secret"));
}

TEST_CASE("a secret that is given by itself and by file is refused") {
    const secret_files files;
    const auto path = files.write("master", master_key);
    const auto parsed = parse({{"ORCH_ADMIN_KEY", admin_key},
                               {"ORCH_MASTER_KEY", master_key},
                               {"ORCH_MASTER_KEY_FILE", path}});
    CHECK(failure_of(parsed) ==
          "ORCH_MASTER_KEY_FILE: is given together with ORCH_MASTER_KEY; keep one of them");
}

TEST_CASE("a file of a secret that every user may read is warned of") {
    const secret_files files;
    const auto path = files.write("admin", admin_key);
    std::filesystem::permissions(path, std::filesystem::perms::others_read,
                                 std::filesystem::perm_options::add);
    const auto parsed = parse({{"ORCH_MASTER_KEY", master_key}, {"ORCH_ADMIN_KEY_FILE", path}});
    REQUIRE(parsed);
    REQUIRE(parsed->warnings.size() == 1);
    CHECK_THAT(parsed->warnings.front(), StartsWith("ORCH_ADMIN_KEY_FILE: every user may read"));
}

TEST_CASE("given secrets are overwritten in the environment and the arguments") {
    REQUIRE(::setenv("ORCH_ADMIN_KEY", admin_key.c_str(), 1) == 0);
    const char* const shown = std::getenv("ORCH_ADMIN_KEY");
    std::vector<std::string> words{"--master-key=" + master_key, "--admin-key", admin_key,
                                   "--listen", "127.0.0.1:0"};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    environment copy{{"ORCH_ADMIN_KEY", admin_key}, {"PATH", "/bin"}};
    wipe_given_secrets(arguments, copy);
    CHECK(std::getenv("ORCH_ADMIN_KEY") == nullptr);
    CHECK(std::string(shown, admin_key.size()) == std::string(admin_key.size(), '\0'));
    CHECK(words == std::vector<std::string>{"--master-key=" + std::string(master_key.size(), '*'),
                                            "--admin-key", std::string(admin_key.size(), '*'),
                                            "--listen", "127.0.0.1:0"});
    CHECK(copy["ORCH_ADMIN_KEY"] == std::string(admin_key.size(), '\0'));
    CHECK(copy["PATH"] == "/bin");
}
